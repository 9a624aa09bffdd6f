"""Weights that are loaded, not trained: where they are, their licence, and what does not fit.

They lie in a folder laid out as those of `transformers`, at home or at a hub: files of weights,
`config.json` and `vocab.txt`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dnalm.errors import InputError
from dnalm.files import read_json

UNTRAINED = ".untrained"
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
WEIGHTS, INDEX = ".safetensors", ".safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
NO_PICKLE = "is a pickle, which can run code when it is opened, and is never read"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where the files of a loaded model are: a local folder, or a repository of a hub.

    `folder` is a path, or the address below which the repository's files are. `files` are those of
    weights, among them the index of several, if there is one; `sha256` is of some or all files.
    """

    folder: str
    repository: str | None
    revision: str | None
    files: list[str]
    k: int
    sha256: dict[str, str]

    @property
    def settings(self) -> str:
        """Path or address of the numbers of the encoder."""
        return f"{self.folder}/config.json"

    @property
    def vocabulary(self) -> str:
        """Path or address of the list of tokens."""
        return f"{self.folder}/vocab.txt"

    @property
    def parts(self) -> list[str]:
        """Paths or addresses of the files of weights."""
        return [f"{self.folder}/{file}" for file in self.files]

    @property
    def name(self) -> str:
        """What reports call it: the repository and its revision, or the folder."""
        return f"{self.repository}@{self.revision}" if self.repository else self.folder


def resolve_weights(config: Mapping[str, Any], model: str) -> Weights:
    """Return where the weights of a model of `config` are, defaults filled in."""
    entry, defaults = config["models"][model], config["weights"]
    given = _as_mapping(entry["weights"])
    corpus = config["corpora"].get(entry.get("corpus"))
    k = given.get("k", corpus["k"] if corpus else defaults["k"])
    common = {"k": k, "sha256": given.get("sha256", {})}
    if "hub" in given:
        revision = given.get("revision", defaults["revision"])
        return Weights(
            folder=f"{defaults['server']}/{given['hub']}/resolve/{quote(revision, safe='')}",
            repository=given["hub"],
            revision=revision,
            files=given.get("files", defaults["files"]),
            **common,
        )
    folder, files = given["path"].rstrip("/"), given.get("files", defaults["files"])
    if folder.endswith(WEIGHTS):
        parent, _, file = folder.rpartition("/")
        folder, files = parent or ".", [file]
    return Weights(folder=folder, repository=None, revision=None, files=files, **common)


def _as_mapping(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return {path} or {hub} of a text: user/name is of a hub, unless there is a folder user."""
    if not isinstance(given, str):
        return given
    is_name = REPOSITORY.fullmatch(given) and not given.endswith((WEIGHTS, ".json", *PICKLES))
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
    """Return whether of a model there are embeddings alone, which another program made."""
    return "embeddings" in config["models"].get(model, {})


def _with_untrained(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["models"]:
        if not is_foreign(config, name):
            yield from (name, f"{name}{UNTRAINED}")


def list_weight_downloads(config: Mapping[str, Any], models: Iterable[str]) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file to download for these models."""
    downloads = []
    for weights in (resolve_weights(config, m) for m in models if "weights" in config["models"][m]):
        urls = [*weights.parts, weights.settings, weights.vocabulary]
        downloads += [
            {"urls": [url], "sha256": weights.sha256.get(url.rsplit("/", 1)[1]), "md5": None}
            for url in (urls if weights.repository else [])
        ]
    return downloads


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
    return {"source": None, "licence": own.get("licence"), "citation": own.get("citation")}


def _find(config: Mapping[str, Any], name: str, key: str) -> str | None:
    """Return the licence or citation of a model, that of the repository's owner if not given."""
    owner = (resolve_weights(config, name).repository or "").split("/")[0]
    return config["models"][name].get(key) or config["weights"]["owners"].get(owner, {}).get(key)


def check_folder(weights: Weights, folder: str | Path) -> None:
    """Raise InputError for a local folder that lacks weights and has them in another form.

    `folder` is that of `weights` as the file system knows it. What is not there at all is left to
    Snakemake, which knows whether a rule makes it.
    """
    folder = Path(folder)
    missing = [file for file in weights.files if not (folder / file).exists()]
    if not missing or not folder.is_dir():
        return
    for index in sorted(folder.glob(f"*{INDEX}")):
        named = ", ".join([index.name, *_list_parts(index)])
        raise InputError(
            f"{folder} has no {missing[0]}, but weights in parts; name them as `files: [{named}]`."
        )
    for path in sorted(folder.iterdir()):
        if path.suffix in PICKLES:
            raise InputError(
                f"{folder} has no {missing[0]}, and {path.name} {NO_PICKLE}; get the weights as"
                " safetensors, or convert them where they come from."
            )


def _list_parts(index: Path) -> list[str]:
    try:
        return sorted(set(read_json(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["..."]


def find_weight_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value about loaded weights that does not fit the configuration."""
    for name, entry in config["models"].items():
        key = f"models.{name}"
        if is_foreign(config, name):
            continue
        if "weights" in entry:
            yield from _given(f"{key}.weights", config, name)
            if not _find(config, name, "licence"):
                yield (
                    f"{key}.licence: the licence of the weights is not given; write what their"
                    " publisher says, or `unknown`."
                )
        elif "corpus" not in entry:
            yield f"{key}: it has neither corpus nor weights; add one, to train it or to load it."
        if "corpus" not in entry:
            for unused in (unused for unused in ("pretrain", "operation") if unused in entry):
                yield f"{key}.{unused}: a model without corpus is not trained; remove the key."


def _given(key: str, config: Mapping[str, Any], name: str) -> Iterator[str]:
    given, weights = _as_mapping(config["models"][name]["weights"]), resolve_weights(config, name)
    for file in weights.files:
        if file.endswith(PICKLES):
            yield f"{key}.files: {file} {NO_PICKLE}; name files that end in {WEIGHTS}."
        elif not file.endswith((WEIGHTS, INDEX)):
            yield f"{key}.files: {file} does not end in {WEIGHTS} or {INDEX}; correct it."
    if all(file.endswith(INDEX) for file in weights.files):
        yield f"{key}.files: an index alone holds no weights; name its parts beside it."
    path = given.get("path", "")
    if path.endswith(PICKLES):
        yield f"{key}: {path} {NO_PICKLE}; name a folder, or a file that ends in {WEIGHTS}."
    elif path.endswith(".json"):
        yield f"{key}: {path} holds no weights; name the folder it is in."
    if "path" in given and "revision" in given:
        yield f"{key}.revision: a folder has no revision; remove it."
    if "files" in given and weights.files != given["files"]:
        yield f"{key}.files: `path` is a file already; remove `files`, or name the folder."
    known = [*weights.files, "config.json", "vocab.txt"]
    for file in weights.sha256:
        if file not in known:
            yield f"{key}.sha256: {file} is not among the files {', '.join(known)}; correct it."
    corpus = config["corpora"].get(config["models"][name].get("corpus"))
    if corpus and corpus["k"] != weights.k:
        yield (
            f"{key}.k: the weights read {weights.k}-mers, the model's corpus holds"
            f" {corpus['k']}-mers; choose a corpus with the same k."
        )
