"""What the schema cannot see in the tasks: names, patterns, class numbers, and keys without use."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from string import Formatter
from typing import Any

from dnalm.benchmark.tasks.kinds import COLUMNS, FLAG, KINDS, find_kind
from dnalm.configuration.builds import find_build_errors, find_pattern_error, list_labels
from dnalm.configuration.kinds import find_kind_errors
from dnalm.configuration.resolve import (
    list_label_files,
    list_roles,
    list_sources,
    resolve_task,
)

PLACEHOLDERS = {"name", "split"}
# What says how to read files of rows, which a task that is cut from a genome has not.
OF_FILES = (
    *("sha256", "format", "sequence_column", "label_column", "label_separator"),
    *("label_pattern", "missing_labels", "other_letters", "test_share", "labels_file"),
)
# And of tables, which DeepSEA's files are not.
OF_TABLES = (
    *("sequence_column", "label_column", "label_separator", "label_pattern", "labels"),
    *("missing_labels", "other_letters", "min_bases", "test_share", "labels_file"),
)


def find_task_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of `tasks:` that does not fit the rest of the configuration."""
    for name, entry in config["tasks"].items():
        key, task = f"tasks.{name}", resolve_task(config, name)
        if "." not in name:
            yield f"{key}: a task is named <set>.<name>; write 'mine.{name}'."
        yield from find_kind_errors(key, name, entry, task)
        if "build" in entry:
            for unused in (unused for unused in OF_FILES if unused in entry):
                yield f"{key}.{unused}: a task with `build:` reads no file of rows; remove the key."
            yield from find_build_errors(f"{key}.build", config, entry["build"])
        else:
            yield from _label_pattern(f"{key}.label_pattern", task["label_pattern"])
            yield from _label_keys(f"{key}.labels", task["labels"])
            yield from _sources(key, task, name)
            yield from _label_files(key, task, name)
        if "hub" in entry and _has_labelled_pattern(entry.get("files")):
            yield (
                f"{key}.files: a * stands for any number of files, which have no label each; name"
                " the file of each label."
            )
        if "hub" not in entry:
            for unused in (unused for unused in ("files", "revision") if unused in entry):
                yield f"{key}.{unused}: it is read with `hub:` alone; remove it."
        yield from _deepsea(key, entry, task)
        yield from _classes(key, entry, task)


def _deepsea(key: str, entry: Mapping[str, Any], task: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a task of DeepSEA's files cannot have, whose rows are clean and hold flags."""
    if task["format"] != "deepsea" or "build" in entry:
        return
    fitting = [kind.name for kind in KINDS if kind.shape == COLUMNS and kind.value == FLAG]
    if task["kind"] not in fitting:
        yield f"{key}.kind: files of format deepsea hold several labels; write {fitting[0]}."
    for unused in (unused for unused in OF_TABLES if unused in entry):
        yield f"{key}.{unused}: it is not read with format deepsea; remove the key."


def _has_labelled_pattern(files: Any) -> bool:
    """Return whether a file that has a label, {train: {0: file, ...}}, is named by a pattern."""
    splits = files.values() if isinstance(files, Mapping) else ()
    return any("*" in str(split) for split in splits if isinstance(split, Mapping))


def _label_pattern(key: str, pattern: str) -> Iterator[str]:
    wrong = list(find_pattern_error(key, pattern))
    if not wrong and not re.compile(pattern).groups:
        yield f"{key}: '{pattern}' has no group; put the label in parentheses."
    yield from wrong


def _label_keys(key: str, labels: Mapping[Any, int] | None) -> Iterator[str]:
    """Yield a sentence where two keys are one text: 1 and "1"."""
    texts = [str(label) for label in labels or ()]
    for text in sorted({text for text in texts if texts.count(text) > 1}):
        yield f"{key}: '{text}' stands there as a text and as a number; remove one of them."


def _classes(key: str, entry: Mapping[str, Any], task: Mapping[str, Any]) -> Iterator[str]:
    """Yield the class numbers that a task does not have, and those of `build` without a class.

    Where `labels` translates them, the numbers of `build` are not the classes.
    """
    build = list_labels(task["build"]) if "build" in entry else {}
    given = {f"build.{by}": numbers for by, numbers in build.items()}
    if task["labels"] is not None:
        made = {0}.union(*(numbers.values() for numbers in given.values()))
        missing = sorted(made - {int(label) for label in task["labels"] if str(label).isdecimal()})
        if build and missing:
            yield (
                f"{key}.labels: `build` makes rows of label {missing[0]}, which has no class"
                " there; add it (0 are the negatives)."
            )
        # Others' labels in a shared mapping do no harm.
        given = {"labels": entry.get("labels") or {}}
    kind, classes = task["kind"], task["classes"]
    classes = classes if kind is None else find_kind(kind).values(classes)
    for name, numbers in given.items():
        for label, number in numbers.items():
            if classes is not None and number >= classes:
                yield (
                    f"{key}.{name}: '{label}' is given the class {number}, but {classes}"
                    f" classes are 0 to {classes - 1}; correct one of them."
                )


def _sources(key: str, task: Mapping[str, Any], name: str) -> Iterator[str]:
    raw = task["path"] if "path" in task else task["url"]
    by_class = isinstance(raw, Mapping) and any(isinstance(of, Mapping) for of in raw.values())
    wrong = [sentence for text in _texts(raw) for sentence in _placeholders(key, text)]
    if task["test_share"] is not None:
        if "{split}" in "".join(_texts(raw)) or (isinstance(raw, Mapping) and "test" in raw):
            wrong.append(
                f"{key}.test_share: it is for one file of all rows, or {{train: ...}} alone; name"
                " that, or remove it."
            )
        elif "test" in task.get("sha256", {}):
            wrong.append(f"{key}.sha256: with test_share there is no test file; give train alone.")
    elif isinstance(raw, Mapping) and "test" not in raw:
        wrong.append(f"{key}: there are no test files; name them, or set test_share.")
    if by_class and not (task["kind"] is None or find_kind(task["kind"]).one_class):
        wrong.append(
            f"{key}: a file for each class is for kinds of one class, not {task['kind']}; give a"
            " text or a list of files, whose rows have their labels."
        )
    yield from wrong
    if wrong or "." not in name:  # without a dot there is nothing to fill in for {name}
        return
    files = {split: list_sources(task, name, split) for split in list_roles(task)}
    for one, other in combinations(files, 2):
        if same := set(files[one]) & set(files[other]):
            yield f"{key}: {min(same)} is both {one} and {other}; give each split files of its own."
    for split, sources in files.items():
        twice = {source for source in sources if by_class and sources.count(source) > 1}
        if twice:
            yield f"{key}: {min(twice)} is named twice among the {split} files; name it once."


def _label_files(key: str, task: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield a sentence where the files of labels are not one for each file of sequences."""
    if "labels_file" not in task:
        for role in ("train", "validation", "test"):
            if f"{role}_labels" in task.get("sha256", {}):
                yield f"{key}.sha256.{role}_labels: there is no `labels_file`; remove the key."
        return
    if "hub" in task:
        yield f"{key}.labels_file: it is read with `path` or `url` alone; give addresses as url."
        return
    texts = _texts(task["labels_file"])
    wrong = [sentence for text in texts for sentence in _placeholders(f"{key}.labels_file", text)]
    yield from wrong
    sources = task["path"] if "path" in task else task["url"]
    if isinstance(sources, Mapping) and any(isinstance(of, Mapping) for of in sources.values()):
        yield f"{key}.labels_file: its files have one label each already; remove the key."
    elif not wrong and "." in name:
        for split in list_roles(task):
            files = len(list_sources(task, name, split))
            labels = len(list_label_files(task, name, split))
            if files != labels:
                yield (
                    f"{key}.labels_file: there are {labels} files of labels for {files} of {split}"
                    " sequences; give one for each, in the same order."
                )


def _texts(sources: Any) -> list[str]:
    """Return all texts of sources, however they are nested."""
    if isinstance(sources, str):
        return [sources]
    nested = sources.values() if isinstance(sources, Mapping) else sources
    return [text for part in nested for text in _texts(part)]


def _placeholders(key: str, text: str) -> Iterator[str]:
    known = "known are {name} and {split}; a file has no other brace."
    try:
        fields = list(Formatter().parse(text))
    except ValueError:
        yield f"{key}: the braces in the source '{text}' do not match; {known}"
        return
    for literal, field, form, conversion in fields:
        if "{" in literal or "}" in literal:
            yield f"{key}: the source '{text}' has a brace in a name; rename the file."
        if field is None:
            continue
        given = field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        if given not in PLACEHOLDERS:
            yield f"{key}: the source '{text}' holds {{{given}}}; {known}"
