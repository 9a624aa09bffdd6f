"""Weights that are loaded, not trained: where they are, their licence, and what does not fit.

They lie in a folder laid out as those of `transformers`, at home or at a hub: files of weights,
`config.json` and `vocab.txt`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnalm.download.weight_files import (
    INDEX_SUFFIX,
    NO_PICKLE,
    PICKLES,
    SETTINGS,
    SUFFIX,
    VOCABULARY,
    WEIGHTS,
    MissingFileError,
    choose_weight_files,
    list_tokenizer_files,
)
from dnalm.errors import InputError
from dnalm.suggestions import nearest

UNTRAINED = ".untrained"
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where the files of a loaded model are: a local folder, or a repository of a hub.

    One of `folder` and `repository` is None. `files` are those of weights, among them the index of
    several, if there is one; None stands for what is there. `sha256` is of some or all files.
    """

    folder: str | None
    repository: str | None
    revision: str | None
    server: str
    files: list[str] | None
    k: int
    sha256: dict[str, str]

    @property
    def name(self) -> str:
        """What reports call it: the repository and its revision, or the folder."""
        return f"{self.repository}@{self.revision}" if self.repository else str(self.folder)


def resolve_weights(config: Mapping[str, Any], model: str) -> Weights:
    """Return where the weights of a model of `config` are, defaults filled in."""
    entry, defaults = config["models"][model], config["weights"]
    given = _given_weights(entry)
    corpus = config["corpora"].get(entry.get("corpus"))
    k = given.get("k", corpus["k"] if corpus else defaults["k"])
    files, server = given.get("files", defaults["files"]), defaults["server"]
    common = {"k": k, "sha256": given.get("sha256", {}), "server": server}
    if "hub" in given:
        revision = given.get("revision", defaults["revision"])
        return Weights(
            folder=None, repository=given["hub"], revision=revision, files=files, **common
        )
    folder = given["path"].rstrip("/")
    if folder.endswith(SUFFIX):
        parent, _, file = folder.rpartition("/")
        folder, files = parent or ".", [file]
    return Weights(folder=folder, repository=None, revision=None, files=files, **common)


def _given_weights(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the value of `weights`, of an embedder that of `transformers`, as a mapping."""
    if "weights" in entry:
        return _as_mapping(entry["weights"])
    own = {key: entry["embedder"][key] for key in ("revision",) if key in entry["embedder"]}
    return {**_as_mapping(entry["embedder"]["transformers"].rstrip("/")), **own}


def _as_mapping(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return {path} or {hub} of a text: user/name is of a hub, unless there is a folder user."""
    if not isinstance(given, str):
        return given
    is_name = REPOSITORY.fullmatch(given) and not given.endswith((SUFFIX, ".json", *PICKLES))
    is_path = not is_name or Path(given).parent.is_dir()
    return {"path": given} if is_path else {"hub": given}


def is_loaded(config: Mapping[str, Any], model: str) -> bool:
    """Return whether the weights of `model` are those of a file: neither trained nor drawn.

    They are if it has `weights` and no corpus. With both it is trained on from these weights, which
    then are what it was before its first step, `<name>.untrained`.
    """
    entry = config["models"][model.removesuffix(UNTRAINED)]
    return "weights" in entry and model.endswith(UNTRAINED) == ("corpus" in entry)


def list_loaded(config: Mapping[str, Any]) -> list[str]:
    """Return all models whose weights are those of a file, `<name>.untrained` among them."""
    return [model for model in _with_untrained(config) if is_loaded(config, model)]


def list_described(config: Mapping[str, Any]) -> list[str]:
    """Return all other models, those that are trained or drawn."""
    return [model for model in _with_untrained(config) if not is_loaded(config, model)]


def is_foreign(config: Mapping[str, Any], model: str) -> bool:
    """Return whether a model is not one of ours: it has an embedder, or embeddings alone."""
    return has_embedder(config, model) or "embeddings" in config["models"].get(model, {})


def has_embedder(config: Mapping[str, Any], model: str) -> bool:
    """Return whether a model is opened by an embedder, see `dnalm.model.embedders`."""
    return "embedder" in config["models"].get(model, {})


def is_of_transformers(config: Mapping[str, Any], model: str) -> bool:
    """Return whether a model has an embedder that stock `transformers` opens."""
    return "transformers" in config["models"].get(model, {}).get("embedder", {})


def find_environment(config: Mapping[str, Any], model: str) -> str | None:
    """Return the conda environment that an embedder names: a file, a folder, a name; else None.

    A user's relative paths are from the working directory, Snakemake's would be from the rules.
    """
    given = config["models"][model].get("environment")
    if given is None:
        return None
    is_path = "/" in given or given.endswith((".yaml", ".yml"))
    return str(Path(given).absolute()) if is_path else given


def resolve_embedder(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return how the embedder of a model is opened, without where its files come from."""
    entry = config["models"][model]["embedder"]
    return {key: value for key, value in entry.items() if key not in ("revision", "finetune")}


def is_tunable(config: Mapping[str, Any], model: str) -> bool:
    """Return whether a model of an embedder is fine-tuned: of `transformers`, unless it says no."""
    own = config["models"][model].get("embedder", {})
    return own.get("finetune", is_of_transformers(config, model))


def _with_untrained(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["models"]:
        if not is_foreign(config, name):
            yield from (name, f"{name}{UNTRAINED}")


def is_of_hub(config: Mapping[str, Any], model: str) -> bool:
    """Return whether the weights of a model, or those it is trained on from, are of a hub."""
    name = model.removesuffix(UNTRAINED)
    has_files = "weights" in config["models"][name] or is_of_transformers(config, name)
    return has_files and bool(resolve_weights(config, name).repository)


def resolve_repository(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what is fetched of a hub for a model: repository, revision and files."""
    weights = resolve_weights(config, model)
    own = {"kind": "model", "name": weights.repository, "revision": weights.revision}
    any_tokenizer = {"any_tokenizer": True} if has_embedder(config, model) else {}
    return {**own, "server": weights.server, "files": weights.files, **any_tokenizer}


def resolve_source(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return where the weights of a model come from and what may be done with them."""
    name = model.removesuffix(UNTRAINED)
    weights = resolve_weights(config, name)
    return {
        "name": weights.name,
        "repository": weights.repository,
        "revision": weights.revision,
        "path": None if weights.repository else weights.folder,
        "sha256": weights.sha256,
        "licence": _find(config, name, "licence"),
        "citation": _find(config, name, "citation"),
    }


def describe_rights(config: Mapping[str, Any], model: str) -> dict[str, str | None]:
    """Return {source, licence, citation} of a model, None for what is neither known nor given."""
    entry = config["models"][model.removesuffix(UNTRAINED)]
    if "weights" in entry and (is_loaded(config, model) or "corpus" in entry):
        source = resolve_source(config, model)
        return {"source": source["name"], **{key: source[key] for key in ("licence", "citation")}}
    own = {} if model.endswith(UNTRAINED) else entry
    if is_of_transformers(config, model):
        rights = {key: _find(config, model, key) for key in ("licence", "citation")}
        return {"source": resolve_weights(config, model).name, **rights}
    source = entry.get("embedder", {}).get("call")
    return {"source": source, "licence": own.get("licence"), "citation": own.get("citation")}


def _find(config: Mapping[str, Any], name: str, key: str) -> str | None:
    """Return the licence or citation of a model, that of the repository's owner if not given."""
    entry = config["models"][name]
    if entry.get("embedder", {}).get("call"):
        return entry.get(key)
    owner = (resolve_weights(config, name).repository or "").split("/")[0]
    return entry.get(key) or config["weights"]["owners"].get(owner, {}).get(key)


def list_folder_files(weights: Weights, folder: str | Path) -> dict[str, Any]:
    """Return {weights, settings, vocabulary: paths} of a local folder.

    `folder` is that of `weights` as the file system knows it. What is not there is left to
    Snakemake, which knows whether a rule makes it. Raises InputError for a folder with weights in
    another form.
    """
    place = Path(folder)
    files = weights.files or _choose(place)
    missing = [file for file in files if not (place / file).exists()]
    if missing and place.is_dir():
        for path in sorted(place.iterdir()):
            if path.suffix in PICKLES:
                raise InputError(
                    f"{place} has no {missing[0]}, and {path.name} {NO_PICKLE}; get the weights as"
                    " safetensors, or convert them where they come from."
                )
    paths = {"settings": SETTINGS, "vocabulary": VOCABULARY}
    return {
        "weights": [f"{weights.folder}/{file}" for file in files],
        **{role: f"{weights.folder}/{file}" for role, file in paths.items()},
    }


def list_embedder_files(weights: Weights, folder: str | Path) -> dict[str, Any]:
    """Return {weights, settings, vocabulary: paths} of a local folder for `transformers`.

    As `list_folder_files`, with the files of whatever tokenizer there is.
    """
    names = [path.name for path in Path(folder).iterdir()] if Path(folder).is_dir() else []
    own = [f"{weights.folder}/{name}" for name in list_tokenizer_files(names)]
    return {**list_folder_files(weights, folder), "vocabulary": own}


def _choose(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    try:
        return choose_weight_files(names, lambda name: folder / name)
    except MissingFileError as error:
        if names and error.missing != [WEIGHTS]:
            raise InputError(f"{folder}: {error}; get it, too.") from None
        return [WEIGHTS]
    except InputError as error:
        raise InputError(f"{folder}: {error}; name them as `files`.") from None


def find_weight_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value about loaded weights that does not fit the configuration."""
    for name, entry in config["models"].items():
        key = f"models.{name}"
        if has_embedder(config, name) and not _find(config, name, "licence"):
            yield _ask_for_licence(key)
        if is_foreign(config, name):
            continue
        if "weights" in entry:
            yield from _given(f"{key}.weights", config, name)
            if not _find(config, name, "licence"):
                yield _ask_for_licence(key)
        elif "corpus" not in entry:
            yield f"{key}: it has neither corpus nor weights; add one, to train it or to load it."
        if "corpus" not in entry:
            for unused in (unused for unused in ("pretrain", "operation") if unused in entry):
                yield f"{key}.{unused}: a model without corpus is not trained; remove the key."


def _ask_for_licence(key: str) -> str:
    return (
        f"{key}.licence: the licence of the weights is not given; write what their publisher says,"
        " or `unknown`."
    )


def _given(key: str, config: Mapping[str, Any], name: str) -> Iterator[str]:
    given, weights = _as_mapping(config["models"][name]["weights"]), resolve_weights(config, name)
    for file in weights.files or ():
        if file.endswith(PICKLES):
            yield f"{key}.files: {file} {NO_PICKLE}; name files that end in {SUFFIX}."
        elif not file.endswith((SUFFIX, INDEX_SUFFIX)):
            yield f"{key}.files: {file} does not end in {SUFFIX} or {INDEX_SUFFIX}; correct it."
    if weights.files and all(file.endswith(INDEX_SUFFIX) for file in weights.files):
        yield f"{key}.files: an index alone holds no weights; name its parts beside it."
    path = given.get("path", "")
    if path.endswith(PICKLES):
        yield f"{key}: {path} {NO_PICKLE}; name a folder, or a file that ends in {SUFFIX}."
    elif path.endswith(".json"):
        yield f"{key}: {path} holds no weights; name the folder it is in."
    if "path" in given and "revision" in given:
        yield f"{key}.revision: a folder has no revision; remove it."
    if given.get("files") and weights.files != given["files"]:
        yield f"{key}.files: `path` is a file already; remove `files`, or name the folder."
    known = [*(weights.files or ()), SETTINGS, VOCABULARY]
    for file in weights.sha256:
        if file not in known and (weights.files or not file.endswith((SUFFIX, INDEX_SUFFIX))):
            yield f"{key}.sha256: {file} is no file of the weights{nearest(file, known)}"
    corpus = config["corpora"].get(config["models"][name].get("corpus"))
    if corpus and corpus["k"] != weights.k:
        yield (
            f"{key}.k: the weights read {weights.k}-mers, the model's corpus holds"
            f" {corpus['k']}-mers; choose a corpus with the same k."
        )
