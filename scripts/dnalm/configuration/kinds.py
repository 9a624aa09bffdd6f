"""What the schema cannot see of the kinds of tasks: what fits which kind, and what can score it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dnalm.benchmark.tasks.kinds import (
    BASES,
    COLUMNS,
    KINDS,
    NUMBER,
    Kind,
    find_kind,
    kind_of_classes,
)
from dnalm.benchmark.tasks.recipes.table import find_recipe
from dnalm.configuration.resolve import list_sources, select_tasks
from dnalm.methods import PROBE_NAMES

FASTA = (".fa", ".fna", ".fasta")


def find_kind_errors(
    key: str, name: str, entry: Mapping[str, Any], task: Mapping[str, Any]
) -> Iterator[str]:
    """Yield one sentence per key of a task that does not fit its kind.

    `entry` is what stands in the config, `task` the same with defaults filled in.
    """
    classes = task["classes"]
    # Without a kind its rows will tell, which are then of classes.
    kind = kind_of_classes(classes) if task["kind"] is None else find_kind(task["kind"])
    what = kind.units + ("" if kind.pooled else " of a base")
    if classes is None and not kind.one_class:
        yield f"{key}.classes: how many {what} a {kind.name} task has cannot be guessed; write it."
        return
    if classes is not None and not kind.allows(classes):
        allowed = ", ".join(map(_describe_classes, KINDS))
        yield f"{key}: kind is {kind.name} and classes {classes}; {allowed}."
    of_bases = "build" in entry and find_recipe(entry["build"]["recipe"]).of_bases
    if of_bases and kind.shape != BASES:
        fitting = " or ".join(kind.name for kind in KINDS if kind.shape == BASES)
        yield (
            f"{key}: kind is {kind.name}, but the recipe of its `build` labels bases; write"
            f" {fitting}."
        )
    elif "build" in entry and not of_bases and not kind.one_class:
        fitting = " or ".join(kind.name for kind in KINDS if kind.one_class)
        yield (f"{key}: kind is {kind.name}, but `build` makes rows of one class; write {fitting}.")
    if kind.value == NUMBER and task["labels"] is not None:
        yield (
            f"{key}.labels: the {what} of a {kind.name} are numbers, no classes; remove the key."
        )
    columns = task["label_column"]
    if not isinstance(columns, str) and kind.shape != COLUMNS:
        yield f"{key}.label_column: a {kind.name} task has one label column; name one."
    elif not isinstance(columns, str) and len(columns) != classes:
        yield (
            f"{key}.label_column: {len(columns)} columns are named, but the task has {classes}"
            f" {what}; name one for each or correct `classes`."
        )
    if not kind.one_class and "label_pattern" not in entry and _is_fasta(entry, name, task):
        yield (
            f"{key}.label_pattern: the default finds one label in a FASTA header; give a"
            f" pattern whose first group holds all that is the label of a {kind.name} row."
        )


def _describe_classes(kind: Kind) -> str:
    least = f"{kind.min_classes} {kind.unit if kind.min_classes == 1 else kind.units}"
    return f"{kind.name} means {least}{' or more' if kind.max_classes is None else ''}"


def is_pooled(task: Mapping[str, Any]) -> bool:
    """Return whether one vector for each sequence suffices for a task, as for all but of bases.

    A task whose entry has no kind is of classes, which its rows will tell.
    """
    return task.get("kind") is None or find_kind(task["kind"]).pooled


def find_unscored(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per selected task that none of the run's methods can score."""
    if set(config["run"]["methods"]) - set(PROBE_NAMES):
        return
    for name in select_tasks(config):
        if not is_pooled(config["tasks"][name]):
            yield (
                f"run.methods: {' and '.join(config['run']['methods'])} cannot score the per-base"
                f" task '{name}'; add a method of finetune.methods, or drop the task."
            )


def _is_fasta(entry: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> bool:
    if "labels_file" in entry:  # which holds the labels instead
        return False
    if task["format"] != "auto" or "build" in entry or "." not in name:
        return task["format"] == "fasta"
    try:
        sources = [s for split in ("train", "test") for s in list_sources(entry, name, split)]
    except (KeyError, IndexError, ValueError):  # a wrong placeholder, which is another error
        return False
    return any(set(Path(source.lower()).suffixes[-2:]) & set(FASTA) for source in sources)
