"""What the schema cannot see: names that point at nothing, and values that do not fit together."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from dnalm.configuration.panels import find_panel_errors
from dnalm.configuration.resolve import UNTRAINED, resolve_preset, select_tasks
from dnalm.configuration.schema import nearest
from dnalm.configuration.tasks import find_task_errors

FOLDERS = ("results", "logs", "benchmarks")


def find_reference_errors(
    config: Mapping[str, Any], published: Iterable[Mapping[str, str]]
) -> list[str]:
    """Return one sentence per name or value that does not fit the rest of a valid configuration.

    `published` are the rows of the published scores, of which benchmark, task and model are read.
    """
    parts = (
        _run,
        _pathvars,
        find_task_errors,
        _corpora,
        find_panel_errors,
        _models,
        _selected_models,
    )
    sentences = [sentence for part in parts for sentence in part(config)]
    return sentences + list(_published(config, list(published)))


def _unknown(key: str, name: str, known: Iterable[str]) -> Iterator[str]:
    known = list(known)
    if name not in known:
        yield f"{key}: '{name}' is unknown{nearest(name, known)}"


def _run(config: Mapping[str, Any]) -> Iterator[str]:
    run = config["run"]
    for key in ("models", "pretrain_only"):
        for name in run[key]:
            yield from _unknown(f"run.{key}", name, config["models"])
    for name in set(run["models"]) & set(run["pretrain_only"]):
        yield f"run.pretrain_only: '{name}' is among run.models too; drop it from one of them."
    for pattern in run["tasks"]:
        if not fnmatch.filter(config["tasks"], pattern):
            yield from _unknown("run.tasks", pattern, config["tasks"])
    for method in run["methods"]:
        yield from _unknown("run.methods", method, ["probe", *config["finetune"]["methods"]])
    for baseline in run["baselines"]:
        yield from _unknown("run.baselines", baseline, ["untrained", *config["baselines"]])


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
                yield from _unknown(key, entry["published_as"], sorted(names))


def _pathvars(config: Mapping[str, Any]) -> Iterator[str]:
    # Other names are the user's own; one that nearly is a folder of ours is a typo, and would send
    # a run's files into another run's folder.
    for name in config["pathvars"]:
        if name not in FOLDERS and "did you mean" in nearest(name, FOLDERS):
            yield f"pathvars: the key '{name}' is unknown{nearest(name, FOLDERS)}"


def _corpora(config: Mapping[str, Any]) -> Iterator[str]:
    for name, corpus in config["corpora"].items():
        key = f"corpora.{name}"
        for genome in corpus.get("genomes", []):
            yield from _unknown(f"{key}.genomes", genome, config["genomes"])
        for held_out in ("validation", "test"):
            value = corpus["split"][held_out]
            if corpus["split"]["by"] == "contig" and isinstance(value, int):
                yield (
                    f"{key}.split.{held_out}: {value} is a number, but the split is by contig;"
                    " list the contigs."
                )
        windows = corpus["windows"]
        if isinstance(windows, str):
            yield from _unknown(f"{key}.windows", windows, config["windows"])
            windows = config["windows"].get(windows)
        if windows and windows["length"] - windows["start_max"] < corpus["k"]:
            yield (
                f"{key}.windows: {windows['length']} bases less a start of up to"
                f" {windows['start_max']} hold no {corpus['k']}-mer; raise length."
            )


def _models(config: Mapping[str, Any]) -> Iterator[str]:
    for name, model in config["models"].items():
        key = f"models.{name}"
        if name.endswith(UNTRAINED):
            yield f"{key}: names ending in {UNTRAINED} are reserved; rename it."
        unknown = [
            *_unknown(f"{key}.preset", model["preset"], config["model"]["presets"]),
            *_unknown(f"{key}.corpus", model["corpus"], config["corpora"]),
        ]
        yield from unknown or _misfits(config, name)
        masking = config["pretrain"]["masking"] | model.get("pretrain", {}).get("masking", {})
        if masking["masked"] + masking["random"] > 1:
            yield (
                f"{key}: pretrain.masking has masked {masking['masked']} and random"
                f" {masking['random']}; their sum may be at most 1, the rest is kept."
            )


def _misfits(config: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield what does not fit between a model's preset and its corpus, or within the preset."""
    key, corpus_name = f"models.{name}", config["models"][name]["corpus"]
    corpus, preset = config["corpora"][corpus_name], resolve_preset(config, name)
    if preset["vocabulary"] != corpus["vocabulary"]:
        yield (
            f"{key}: its preset reads vocabulary {preset['vocabulary']}, its corpus"
            f" '{corpus_name}' holds {corpus['vocabulary']}; choose a corpus with the same one."
        )
    if preset["max_tokens"] < corpus["max_tokens"]:
        yield (
            f"{key}: its preset reads at most {preset['max_tokens']} tokens, its corpus"
            f" '{corpus_name}' has windows of up to {corpus['max_tokens']}; lower corpora."
            f"{corpus_name}.max_tokens."
        )
    if preset["width"] % preset["heads"]:
        yield (
            f"{key}: width {preset['width']} is not a multiple of {preset['heads']} heads; change"
            " one of them."
        )
    elif preset["positions"] == "rotary" and preset["width"] // preset["heads"] % 2:
        yield (
            f"{key}: heads are {preset['width'] // preset['heads']} wide, rotary positions need an"
            " even number; change width or heads."
        )


def _selected_models(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would stop the selected models after their training, found before it."""
    for name in config["run"]["models"]:
        model = config["models"].get(name)
        if not model or model["preset"] not in config["model"]["presets"]:
            continue
        corpus = config["corpora"].get(model["corpus"])
        if not corpus:
            continue
        preset, layers = resolve_preset(config, name), config["embed"]["layers"]
        if isinstance(layers, list) and max(layers) > preset["layers"]:
            yield (
                f"embed.layers: {max(layers)} is asked for, the model '{name}' has"
                f" {preset['layers']} layers; drop it."
            )
        for task in select_tasks(config):
            length = config["tasks"][task].get("length")
            tokens = 1 + sum(divmod(length, corpus["k"])) if length else 0
            if tokens > preset["max_tokens"]:
                yield (
                    f"tasks.{task}: sequences of {length} bases are {tokens} tokens, the model"
                    f" '{name}' reads {preset['max_tokens']}; choose another model or task."
                )
