"""What a task of the configuration resolves to: its settings, and the files of its rows."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.suggestions import nearest

# What the entry of a task need not have, and no section gives.
OPTIONAL = dict.fromkeys(
    ("kind", "category", "classes", "length", "rows", "pooling", "published_as")
)
# What says where a task's files are, which are inputs: a moved file makes no other table. And what
# is read later.
NOT_OF_ROWS = (
    *("path", "url", "hub", "files", "revision", "category", "published_as", "pooling"),
    *("cross_validation", "labels_file", "outputs_file"),
)


def resolve_task(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a task's settings with everything its entry leaves out filled in.

    A data set of a hub becomes the `url` of its files.
    """
    if name not in config["tasks"]:  # of a file that somebody asks Snakemake for
        raise InputError(f"tasks: '{name}' is unknown{nearest(name, config['tasks'])}")
    entry = config["tasks"][name]
    resolved = {**OPTIONAL, **config["task"], **entry}
    if "build" in entry:
        resolved["build"] = resolve_build(config, entry["build"])
    if "hub" in entry:
        resolved["url"] = _hub_files(config["hub"], entry)
    return resolved


def _hub_files(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> Any:
    """Return the addresses of the files of a hub's data set, shaped as its `files` are.

    Without `files` they are those into which the hub has converted the data set.
    """
    folder, files = _hub_folder(defaults, entry)

    def address(files: Any) -> Any:
        if isinstance(files, Mapping):
            return {split: address(part) for split, part in files.items()}
        return f"{folder}/{files}" if isinstance(files, str) else [*map(address, files)]

    return address(files)


def _hub_folder(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the address of the folder of a hub's data set, and its files as they are given."""
    given = _hub_entry(defaults, entry)
    revision = quote(given["revision"], safe="")
    return f"{defaults['server']}/datasets/{entry['hub']}/resolve/{revision}", given["files"]


def _hub_entry(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**(defaults if "files" in entry else defaults["converted"]), **entry}


def is_of_hub(config: Mapping[str, Any], name: str) -> bool:
    """Return whether the files of a task are those of a hub's data set."""
    return "hub" in config["tasks"][name]


def resolve_data_set(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is fetched of a hub for a task: repository, revision and {split: patterns}."""
    entry, task = config["tasks"][name], resolve_task(config, name)
    folder, _ = _hub_folder(config["hub"], entry)
    sources = {split: list_sources(task, name, split) for split in list_roles(task)}
    return {
        "kind": "dataset",
        "name": entry["hub"],
        "revision": _hub_entry(config["hub"], entry)["revision"],
        "server": config["hub"]["server"],
        "patterns": {
            split: [source.removeprefix(f"{folder}/") for source in own]
            for split, own in sources.items()
        },
    }


def describe_rows(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what decides a task's table beside its files; its name in reports does not."""
    task = resolve_task(config, name)
    rows = {key: value for key, value in task.items() if key not in NOT_OF_ROWS}
    labels = {split: list_file_labels(task, split) for split in list_roles(task)}
    return rows | ({"file_labels": labels} if any(labels.values()) else {})


def list_roles(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the files of a resolved task hold: train, test and, where given, validation."""
    sources = entry.get("path", entry.get("url"))
    given = isinstance(sources, Mapping) and "validation" in sources
    return ("train", "validation", "test") if given else ("train", "test")


def list_sources(entry: Mapping[str, Any], task: str, split: str) -> list[str]:
    """Return the paths or addresses of a split of a resolved task, {name} and {split} filled in.

    Where test rows are drawn by `test_share`, all files are those of the split train.
    """
    if entry.get("test_share") is not None and split == "test":
        return []
    sources = [source for _, source in _label_sources(entry, split)]
    return [source.format(name=task.split(".", 1)[1], split=split) for source in sources]


def list_label_files(entry: Mapping[str, Any], task: str, split: str) -> list[str]:
    """Return the paths or addresses of the files of labels of a split's sources, in their order."""
    given = entry.get("labels_file")
    if given is None or (entry.get("test_share") is not None and split == "test"):
        return []
    given = given.get(split, []) if isinstance(given, Mapping) else given
    given = [given] if isinstance(given, str) else given
    return [source.format(name=task.split(".", 1)[1], split=split) for source in given]


def list_file_labels(entry: Mapping[str, Any], split: str) -> list[str] | None:
    """Return the label of each of a split's sources; None where the rows have their own."""
    if "build" in entry or (entry.get("test_share") is not None and split == "test"):
        return None
    labels = [label for label, _ in _label_sources(entry, split)]
    return None if None in labels else [str(label) for label in labels]


def _label_sources(entry: Mapping[str, Any], split: str) -> list[tuple[Any, str]]:
    """Return (label, source) of a split's files; the label is None where rows have their own."""
    sources = entry["path"] if "path" in entry else entry["url"]
    sources = sources.get(split, []) if isinstance(sources, Mapping) else sources
    by_label = sources if isinstance(sources, Mapping) else {None: sources}
    return [
        (label, source)
        for label, given in by_label.items()
        for source in ([given] if isinstance(given, str) else given)
    ]
