"""What a corpus, model or task of the configuration resolves to, defaults filled in."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from dnalm.configuration.builds import list_build_downloads, resolve_build
from dnalm.configuration.weights import UNTRAINED, is_loaded, resolve_weights
from dnalm.download.addresses import address_of, web_url
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary

# What the entry of a task need not have, and no section gives.
OPTIONAL = dict.fromkeys(
    ("kind", "category", "classes", "length", "rows", "pooling", "published_as")
)
# What says where a task's files are, which are inputs: a moved file makes no other table. And what
# is read later.
NOT_OF_ROWS = ("path", "url", "hub", "files", "revision", "category", "published_as", "pooling")
NOT_OF_ROWS += ("cross_validation", "labels_file", "outputs_file")

# The sections of entries by their names.
ENTRIES = ("genomes", "panels", "corpora", "models", "tasks", "predictions", "variants")
ENTRIES += ("annotations", "snps")


def drop_removed(config: dict[str, Any]) -> None:
    """Take away, in place, the inherited keys of an entry that an overlay has set to null."""
    for section in (
        "genomes",
        "panels",
        "corpora",
        "models",
        "tasks",
        "predictions",
        "variants",
        "annotations",
        "snps",
    ):
        entries = config.get(section)
        for entry in entries.values() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):  # whatever else it is, the schema will say
                for key in [key for key, value in entry.items() if value is None]:
                    del entry[key]


def replace_labels(config: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Let, in place, the labels of a layer of `config` stand alone; all else was merged into it.

    Labels, `labels_by_name` and the like, say of all that is in a file what it means, and the order
    of patterns counts: those of a layer below would stay, and come first.
    """
    for section in ("task", "tasks", "build"):
        if isinstance(layer.get(section), Mapping):
            _replace_labels(config.get(section), layer[section])


def _replace_labels(merged: Any, layer: Mapping[str, Any]) -> None:
    for key, value in layer.items() if isinstance(merged, dict) else ():
        if key == "labels" or str(key).startswith("labels_by_"):
            merged[key] = value
        elif isinstance(value, Mapping):
            _replace_labels(merged.get(key), value)


def select_tasks(config: Mapping[str, Any]) -> list[str]:
    """Return the tasks that run.tasks asks for, in the order of the configuration."""
    patterns = config["run"]["tasks"]
    return [name for name in config["tasks"] if any(fnmatch.fnmatch(name, p) for p in patterns)]


def select_predictions(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of `predictions:` that run.predictions asks for, by their names."""
    patterns, entries = config["run"]["predictions"], config["predictions"]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: entries[name] for name in chosen}


def select_variants(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of `variants:` that run.variants asks for, by their names."""
    patterns, entries = config["run"]["variants"], config["variants"]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: entries[name] for name in chosen}


def resolve_preset(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return all encoder keys of a model: its generation's, overridden by its preset's."""
    preset = config["model"]["presets"][config["models"][model]["preset"]]
    resolved = config["model"]["generations"][preset["generation"]] | preset
    del resolved["generation"]
    return resolved


def resolve_k(config: Mapping[str, Any], model: str) -> int:
    """Return the length of a model's words: that of its corpus, or of its weights."""
    corpus = config["models"][model].get("corpus")
    return config["corpora"][corpus]["k"] if corpus else resolve_weights(config, model).k


def resolve_corpus(config: Mapping[str, Any], name: str, genomes: list[str]) -> dict[str, Any]:
    """Return what decides a corpus: its genomes in order, window numbers, split and vocabulary."""
    corpus = config["corpora"][name]
    # The largest share of N weighs samples and is the run's, as the least number of k-mers is.
    rule = resolve_windows(config, name)
    return {
        **config["corpus"],
        "genomes": genomes,
        "windows": {key: value for key, value in rule.items() if key != "max_n_share"},
        "haplotypes": _resolve_haplotypes(config, corpus.get("haplotypes")),
        **{key: corpus[key] for key in ("split", "k", "vocabulary", "max_tokens")},
    }


def resolve_windows(config: Mapping[str, Any], corpus: str) -> Mapping[str, Any]:
    """Return the windows of a corpus: those of a preset, or its own."""
    windows = config["corpora"][corpus]["windows"]
    return config["windows"][windows] if isinstance(windows, str) else windows


def _resolve_haplotypes(
    config: Mapping[str, Any], haplotypes: Mapping[str, str] | None
) -> dict[str, Any] | None:
    """Return {panel, genome, draw, contigs} of a corpus, None for one without haplotypes."""
    if not haplotypes:
        return None
    panel = config["panels"][haplotypes["panel"]]
    kept = {key: panel[key] for key in ("genome", "contigs")}
    return {"draw": config["panel"]["draw"], **haplotypes, **kept}


def resolve_run(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what decides a model's weights; `<name>.untrained` trains for no step.

    One whose weights are loaded has no `pretrain`. Which weights training starts from, if they are
    not drawn, is a path and left to the caller.
    """
    trained = model.removesuffix(UNTRAINED)
    settings = config["models"][trained]
    encoder = resolve_preset(config, trained)
    vocabulary = Vocabulary(k=resolve_k(config, trained), version=encoder.pop("vocabulary"))
    options = {key: value for key, value in config["model"].items() if not isinstance(value, dict)}
    own = {key: settings[key] for key in options if key in settings}
    pretrain = merge(config["pretrain"], settings.get("pretrain", {}))
    pretrain |= {"min_kmers": config["corpus"]["min_kmers"]}
    if corpus := settings.get("corpus"):
        # Only where it is asked for: what decided a model that was trained before has no such key.
        windows = resolve_windows(config, corpus)
        pretrain |= {key: windows[key] for key in windows if key == "max_n_share"}
    return {
        "model": model,
        "encoder": {
            **options,
            **own,
            **encoder,
            "vocabulary_size": vocabulary.size,
            "pad_id": vocabulary.pad,
            "mask_id": vocabulary.mask,
        },
        "corpus": settings.get("corpus"),
        "k": vocabulary.k,
        "vocabulary": vocabulary.version,
        "initial_weights": None,
        "pretrain": None if is_loaded(config, model) else pretrain,
    }


def resolve_task(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a task's settings with everything its entry leaves out filled in.

    A data set of a hub becomes the `url` of its files.
    """
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


def list_downloads(
    config: Mapping[str, Any], genomes: Mapping[str, Mapping[str, Any]], tasks: Iterable[str]
) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file to download for these genomes and tasks."""
    downloads = []
    for genome in genomes.values():
        if "url" in genome:
            urls = genome["url"]
            urls = [urls] if isinstance(urls, str) else urls
            sums = {key: genome.get(key) for key in ("sha256", "md5")}
            downloads.append({"urls": urls, **sums})
    for name in tasks:
        task = resolve_task(config, name)
        downloads += list_build_downloads(task["build"]) if "build" in task else []
        own = "url" in task and not is_of_hub(config, name)
        for split in list_roles(task) if own else ():
            sha256 = task.get("sha256", {}).get(split)
            for url in list_sources(task, name, split):
                downloads.append({"urls": [url], "sha256": sha256, "md5": None})
        for split in list_roles(task) if "labels_file" in task else ():
            sha256 = task.get("sha256", {}).get(f"{split}_labels")
            for url in list_label_files(task, name, split):
                if "://" in url:
                    downloads.append({"urls": [url], "sha256": sha256, "md5": None})
    return downloads


def merge_downloads(downloads: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {address: download}, several requests for one file as one with all their sums.

    Their URLs are http(s), see `web_url`.

    Raises InputError for two of one address with other URLs or with sums that contradict.
    """
    merged: dict[str, dict[str, Any]] = {}
    for download in downloads:
        urls = [web_url(url) for url in download["urls"]]
        address, *_ = map(address_of, urls)
        kept = merged.setdefault(address, {**download, "urls": urls})
        if urls != kept["urls"]:
            raise InputError(
                f"{address} would be the copy of {', '.join(kept['urls'])} and of"
                f" {', '.join(urls)}; give the same addresses in both places, or keep"
                " a copy of one of them under `path`."
            )
        for key in ("sha256", "md5"):
            sums = [entry[key].lower() for entry in (kept, download) if entry[key]]
            if len(set(sums)) > 1:
                raise InputError(
                    f"{download['urls'][0]} is asked for with the {key} {' and '.join(sums)};"
                    " correct one of them."
                )
            kept[key] = sums[0] if sums else None
    _check_folders(merged)
    return merged


def _check_folders(addresses: Iterable[str]) -> None:
    """Raise InputError where one address is a folder of another one, and both would be files."""
    known = set(addresses)
    for address in known:
        parts = address.split("/")
        for end in range(2, len(parts)):
            if (above := "/".join(parts[:end])) in known:
                raise InputError(
                    f"{above} and {address} are both to be downloaded, but one is the folder of the"
                    " other on a disk; get one of them yourself and give its `path`."
                )


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overrides` written over it, mappings merged key by key."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
