"""What the schema cannot see of the kinds of tasks: what fits which kind, and what can score it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dnalm.configuration.resolve import list_sources, select_tasks

# The least number of `classes` and what it counts; a binary task has exactly that many.
COUNTS = {
    "binary": (2, "classes"),
    "multiclass": (3, "classes"),
    "multilabel": (2, "labels"),
    "regression": (1, "targets"),
    "per_base": (2, "classes of a base"),
}
ONE_CLASS = ("binary", "multiclass")  # a row has one class
IN_COLUMNS = ("multilabel", "regression")  # each label or target may have a column of its own
FASTA = (".fa", ".fna", ".fasta")


def find_kind_errors(
    key: str, name: str, entry: Mapping[str, Any], task: Mapping[str, Any]
) -> Iterator[str]:
    """Yield one sentence per key of a task that does not fit its kind.

    `entry` is what stands in the config, `task` the same with defaults filled in.
    """
    kind, classes = task["kind"], task["classes"]
    if kind is None:  # its rows will tell, which are then of classes
        kind = "binary" if classes in (None, 2) else "multiclass"
    least, what = COUNTS[kind]
    if classes is None and kind not in ONE_CLASS:
        yield f"{key}.classes: how many {what} a {kind} task has cannot be guessed; write it."
        return
    if classes is not None and (classes < least or (kind == "binary" and classes != least)):
        yield (
            f"{key}: kind is {kind} and classes {classes}; binary means 2 classes, multiclass 3 or"
            " more, multilabel 2 labels or more, per_base 2 classes or more."
        )
    if "build" in entry and kind not in ONE_CLASS:
        yield (
            f"{key}: kind is {kind}, but `build` makes rows of one class; write binary or"
            " multiclass."
        )
    if kind == "regression" and task["labels"] is not None:
        yield f"{key}.labels: the targets of a regression are numbers, no classes; remove the key."
    columns = task["label_column"]
    if not isinstance(columns, str) and kind not in IN_COLUMNS:
        yield f"{key}.label_column: a {kind} task has one label column; name one."
    elif not isinstance(columns, str) and len(columns) != classes:
        yield (
            f"{key}.label_column: {len(columns)} columns are named, but the task has {classes}"
            f" {what}; name one for each or correct `classes`."
        )
    if kind not in ONE_CLASS and "label_pattern" not in entry and _is_fasta(entry, name, task):
        yield (
            f"{key}.label_pattern: the default finds one whole number in a FASTA header; give a"
            f" pattern whose first group holds all that is the label of a {kind} row."
        )


def find_unscored(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per selected task that none of the run's methods can score."""
    if set(config["run"]["methods"]) - {"probe", "mlp"}:
        return
    for name in select_tasks(config):
        if config["tasks"][name].get("kind") == "per_base":
            yield (
                f"run.methods: probe cannot score the per-base task '{name}'; add a method of"
                " finetune.methods, or drop the task."
            )


def _is_fasta(entry: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> bool:
    if task["format"] != "auto" or "build" in entry or "." not in name:
        return task["format"] == "fasta"
    try:
        sources = [s for split in ("train", "test") for s in list_sources(entry, name, split)]
    except (KeyError, IndexError, ValueError):  # a wrong placeholder, which is another error
        return False
    return any(set(Path(source).suffixes[-2:]) & set(FASTA) for source in sources)
