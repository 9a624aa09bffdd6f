"""What the schema cannot see: names that point at nothing, and values that do not fit together."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dnalm.configuration.cross_validation import find_cross_validation_errors
from dnalm.configuration.finetuning import find_method_errors
from dnalm.configuration.interpretation.annotations import find_annotation_errors
from dnalm.configuration.interpretation.likelihoods import find_likelihood_errors
from dnalm.configuration.kinds import find_unscored
from dnalm.configuration.models import find_benchmark_errors, find_model_errors, find_unknown
from dnalm.configuration.panels import find_panel_errors
from dnalm.configuration.predictions import find_prediction_errors
from dnalm.configuration.prioritisation import find_prioritisation_errors
from dnalm.configuration.tasks import find_task_errors
from dnalm.configuration.variants import find_variant_errors
from dnalm.errors import shorten
from dnalm.jobs.credentials import hide_passwords
from dnalm.methods import BASELINE_NAMES, PROBE_NAMES, SEQUENCE_BASELINES
from dnalm.suggestions import nearest, refusal

FOLDERS = ("results", "logs", "benchmarks")
SHELL_ONLY = re.compile(r"~[\w.-]*(?=/)|[$]\{?\w+\}?(?=/)")
WITHOUT_BENCHMARK = (
    *("downloads", "species_sheet", "corpora", "token_shards", "estimates"),
    *("check_cluster", "check_embedder", "models", "exports", "pretrain_summary"),
    *("tasks", "audits"),
)
TARGETS = (
    *WITHOUT_BENCHMARK,
    *("all", "report", "report_partial", "embeddings", "probes", "finetunes"),
    *("adapter_exports", "predictions", "variants", "interpretation"),
)


def find_reference_errors(
    config: Mapping[str, Any],
    published: Iterable[Mapping[str, str]],
    *,
    targets: Collection[str] = (),
) -> list[str]:
    """Return one sentence per name or value that does not fit the rest of a valid configuration.

    `published` are the rows of the published scores, of which benchmark, task and model are read.
    `targets` are what is asked for; where all of them do without a benchmark, tasks need not fit
    the models.
    """
    parts: tuple[Callable[[Mapping[str, Any]], Iterable[str]], ...] = (
        _run,
        _pathvars,
        _unexpanded,
        _mlp,
        find_task_errors,
        find_cross_validation_errors,
        _corpora,
        _estimate,
        find_panel_errors,
        find_model_errors,
        find_method_errors,
        find_prediction_errors,
        find_variant_errors,
        find_prioritisation_errors,
        find_annotation_errors,
        find_likelihood_errors,
    )
    if not targets or set(targets) - set(WITHOUT_BENCHMARK):
        parts += (find_benchmark_errors, find_unscored)
    sentences = [sentence for part in parts for sentence in part(config)]
    sentences += _published(config, list(published))
    return [shorten(hide_passwords(sentence)) for sentence in dict.fromkeys(sentences)]


def _run(config: Mapping[str, Any]) -> Iterator[str]:
    run = config["run"]
    for key in ("models", "pretrain_only"):
        for name in run[key]:
            yield from find_unknown(f"run.{key}", name, config["models"])
    for name in set(run["models"]) & set(run["pretrain_only"]):
        yield f"run.pretrain_only: '{name}' is among run.models too; drop it from one of them."
    for name in run["pretrain_only"]:
        if "corpus" not in config["models"].get(name, {"corpus": None}):
            yield f"run.pretrain_only: '{name}' has no corpus to be pretrained on; drop it."
    for pattern in run["tasks"]:
        if not fnmatch.filter(config["tasks"], pattern):
            yield from find_unknown("run.tasks", pattern, config["tasks"])
    methods = (*PROBE_NAMES, *config["finetune"]["methods"])
    for key, known in (("methods", methods), ("baselines", BASELINE_NAMES)):
        for name in run[key]:
            if name not in known:
                yield f"run.{key}: '{name}' {refusal(name, known)}"
    for name in config["finetune"]["methods"]:
        if name in PROBE_NAMES:
            yield f"finetune.methods.{name}: this is the name of a probe; rename the method."
    for name in set(run["baselines"]) & set(SEQUENCE_BASELINES):
        if name not in config["baselines"]:
            yield f"baselines.{name}: run.baselines asks for it; add the key with its settings."


def _mlp(config: Mapping[str, Any]) -> Iterator[str]:
    for key in ("units", "learning_rate"):
        first, last = config["mlp"][key]
        if first > last:
            yield f"mlp.{key}: {first:g} to {last:g} runs downwards; write the smaller first."


def _estimate(config: Mapping[str, Any]) -> Iterator[str]:
    # `bases` may name sheets that an overlay has replaced.
    of_sections = {"panels": "panels", "variants": "variants", "published": "models"}
    for key, section in of_sections.items():
        known = config[section]
        for name in config["estimate"][key]:
            yield from find_unknown(f"estimate.{key}", name, known)


def _published(
    config: Mapping[str, Any], published: Collection[Mapping[str, str]]
) -> Iterator[str]:
    known = {
        "models": {row["model"] for row in published},
        "tasks": {f"{row['benchmark']}.{row['task']}" for row in published},
    }
    for section, names in known.items():
        for name, entry in config[section].items():
            if entry.get("published_as"):
                key = f"{section}.{name}.published_as"
                yield from find_unknown(key, entry["published_as"], sorted(names))


def _pathvars(config: Mapping[str, Any]) -> Iterator[str]:
    # Other names are the user's own; one that nearly is a folder of ours is a typo, and would send
    # a run's files into another run's folder.
    for name, path in config["pathvars"].items():
        if f"<{name}>" in path:
            yield f"pathvars.{name}: '{path}' names itself; give a path."
        if name not in FOLDERS and "did you mean" in nearest(name, FOLDERS):
            yield f"pathvars: the key '{name}' is unknown{nearest(name, FOLDERS)}"


def _unexpanded(config: Mapping[str, Any]) -> Iterator[str]:
    # A shell replaces these on a command line, and nobody does in a file.
    for key, text in _texts(config):
        start = SHELL_ONLY.match(text)
        if start:
            yield (
                f"{key}: '{text}' begins with {start[0]}, which is a word of the shell and is not "
                f"replaced here; write the whole path, such as {Path.home() / 'file'}."
            )


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a configuration behind its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "options" and "call" in value:  # of a function of the user's
                continue
            yield from _texts(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)


def _corpora(config: Mapping[str, Any]) -> Iterator[str]:
    for name, corpus in config["corpora"].items():
        key = f"corpora.{name}"
        for genome in corpus.get("genomes", []):
            yield from find_unknown(f"{key}.genomes", genome, config["genomes"])
        for held_out in ("validation", "test"):
            value = corpus["split"][held_out]
            if corpus["split"]["by"] == "contig" and isinstance(value, int):
                yield (
                    f"{key}.split.{held_out}: {value} is a number, but the split is by contig;"
                    " list the contigs."
                )
        windows = corpus["windows"]
        if isinstance(windows, str):
            yield from find_unknown(f"{key}.windows", windows, config["windows"])
            windows = config["windows"].get(windows)
        if windows and windows["length"] - windows["start_max"] < corpus["k"]:
            yield (
                f"{key}.windows: {windows['length']} bases less a start of up to"
                f" {windows['start_max']} hold no {corpus['k']}-mer; raise length."
            )
