"""The merged configuration: a list of sentences, or all that the rules ask of it."""

import copy
import csv
import datetime
from pathlib import Path
from random import Random
from typing import Any

import yaml

from dnalm.configuration import cluster, kinds, panels, references, resolve, schema, task_sheet
from dnalm.configuration.weights import describe_rights, list_weight_downloads
from dnalm.errors import InputError
from fuzz.odd_values import at, dump, load, odd, places
from fuzz.target import Target
from fuzz.verdict import find_fault_of_sentence

ROOT = Path(__file__).parents[3]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
with open(ROOT / "resources/published_scores.tsv", newline="") as file:
    PUBLISHED = list(csv.DictReader(file, delimiter="\t"))
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
MORE = yaml.safe_load(
    """
genomes:
  here: {path: data/here.fa, contigs: {chr1: one, 2: two}, sha256: "%s"}
  there: {url: [https://h.org/a.fa.gz, ftp://ftp.ensembl.org/a.fa.gz]}
panels:
  p:
    {genome: here, contigs: [one], path: {one: a.vcf.gz, "*": "{contig}.vcf.gz"},
    populations: {path: p.tsv}}
corpora:
  other:
    {genomes: [here], windows: {length: 352, stride: 302, start_max: 100}, k: 4, vocabulary: v2,
    max_tokens: 64, split: {by: contig, validation: [one], test: [two]}, haplotypes: {panel: p}}
models:
  loaded: {preset: tiny, weights: {path: models/x, files: [model.safetensors]}, licence: unknown}
  hub: {preset: tiny, weights: {hub: a/b, revision: main}, licence: unknown}
tasks:
  mine.one: {path: "{split}.csv", kind: binary, classes: 2, labels: {"0": 0, x: 1}}
  mine.many:
    {url: {train: https://h.org/a.csv, test: https://h.org/b.csv}, kind: regression, classes: 2,
    label_column: [a, b]}
  mine.share: {path: all.tsv, test_share: 0.2}
  mine.files: {path: {train: {0: a.fa, 1: b.fa}, test: {0: c.fa, 1: d.fa}}, kind: binary}
  mine.hub: {hub: a/b, kind: multilabel, classes: 3, label_separator: ","}
"""
    % ("0" * 64)
)
# Two configurations of a run: the demo, and the demo with an entry of every other form.
DEMO = resolve.merge(SHIPPED, yaml.safe_load((ROOT / "tests/config.yaml").read_text()))
BASES = (DEMO, resolve.merge(DEMO, MORE))
PLACES = [list(places(base)) for base in BASES]
TEXTS = sorted(
    {at(base, path) for base in BASES for path in places(base) if type(at(base, path)) is str}
)


def make_edits(random: Random, _: int = 1) -> bytes:
    """Return a few changes of a configuration: [base, [[what, path, value], ...]]."""
    base = random.randrange(len(BASES))
    edits = []
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        path = random.choice(PLACES[base])
        kind = random.choice(("set", "set", "set", "copy", "copy", "drop", "rename", "add"))
        value: Any = odd(random)
        if random.random() < 0.5:
            kind, value = "set", _like(at(BASES[base], path), random)
        elif kind == "copy":
            kind, value = "set", copy.deepcopy(at(BASES[base], random.choice(PLACES[base])))
        elif kind in ("rename", "add"):
            other = random.choice(PLACES[base])[-1]
            value = random.choice((other, other, "x", 1, True, None, 1.5, "a b", "..", "é"))
        elif random.random() < 0.02:
            value = random.choice(
                (datetime.date(2020, 1, 1), {1: "b"}, {None: 1}, {True: {2.5: 1}})
            )
        edits.append([kind, list(path), value])
    return dump([base, edits])


def _like(value: Any, random: Random) -> Any:
    """Return another value of the type of one, which the schema may let pass."""
    if isinstance(value, bool) or value is None:
        return random.choice((True, False, None, "auto", 1))
    if isinstance(value, int):
        return random.choice((value + 1, value - 1, 2 * value, 1, 2, 3, 1000, value * 1000))
    if isinstance(value, float):
        return random.choice((value / 2, 2 * value, 0.5, 1.0, 0.01))
    if isinstance(value, str):
        return random.choice((random.choice(TEXTS), "unknown", value + "x", "<results>/x"))
    if isinstance(value, list) and value:
        other = [*value, random.choice((random.choice(TEXTS), random.choice(value)))]
        return random.choice((value[1:], value[::-1], other, [random.choice(value)]))
    return copy.deepcopy(value)


def edited(data: bytes) -> dict[str, Any]:
    """Return the configuration with the changes of `make_edits`; those without a place are none."""
    base, edits = load(data)
    config = copy.deepcopy(BASES[base])
    for kind, path, value in edits:
        try:
            holder, key = at(config, path[:-1]), path[-1]
            if kind == "set":
                holder[key] = value
            elif kind == "drop":
                del holder[key]
            elif kind == "add" and isinstance(holder, list):
                holder.append(value)
            elif isinstance(holder, dict):
                holder[value] = copy.deepcopy(holder[key])
                if kind == "rename" and value != key:
                    del holder[key]
        except (LookupError, TypeError):
            continue
    return config


def resolve_all(config: dict[str, Any]) -> None:
    """Ask of a configuration without errors what the rules ask; raises whatever it raises."""
    for name in config["models"]:
        resolve.resolve_preset(config, name)
        resolve.resolve_run(config, name)
        resolve.resolve_run(config, f"{name}.untrained")
        cluster.size_cluster(config, name)
        cluster.resolve_operation(config, name)
        describe_rights(config, name)
    for name, corpus in config["corpora"].items():
        resolve.resolve_corpus(config, name, corpus.get("genomes", []))
    for name in config["tasks"]:
        task = resolve.resolve_task(config, name)
        resolve.describe_rows(config, name)
        kinds.is_pooled(task)
        for split in ("train", "test") if "build" not in task else ():
            resolve.list_sources(task, name, split)
            resolve.list_file_labels(task, split)
    for name, panel in config["panels"].items():
        panels.resolve_panel(config, name)
        for contig in panel["contigs"]:
            panels.find_variants(panel, contig)
    panels.select_panels(config, config["corpora"])
    wanted = resolve.list_downloads(config, config["genomes"], config["tasks"])
    wanted += list_weight_downloads(config, config["models"])
    wanted += panels.list_panel_downloads(config, config["panels"])
    resolve.merge_downloads(wanted)


def read(path: Path, _: Path) -> list[str]:
    """Return the errors of a configuration, as `rules/common/configuration.smk` finds them."""
    config = edited(path.read_bytes())
    task_sheet.list_sheets(config)
    task_sheet.add_sheets(config, [])
    resolve.drop_removed(config)
    errors = schema.find_schema_errors(config, SCHEMA)
    errors = errors or references.find_reference_errors(config, PUBLISHED)
    for sentence in errors:
        if wrong := find_fault_of_sentence(sentence, None):
            raise AssertionError(f"{wrong}: {sentence!r:.900}")
    if errors:
        raise InputError(errors[0])
    resolve_all(config)
    return errors


def configuration(_: Path) -> Target:
    return Target(
        name="configuration",
        read=read,
        seeds=(dump([0, []]), dump([1, []])),
        suffix=".json",
        mutate=(lambda _, random: make_edits(random),),
        one_file=False,
        spliced=False,
        weight=6,
    )
