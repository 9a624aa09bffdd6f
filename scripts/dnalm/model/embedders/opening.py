"""Opening of an embedder: what stock `transformers` opens, or a factory of the user's."""

import importlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.errors import InputError
from dnalm.files import hash_facts, hash_text, sha256_of
from dnalm.model.embedders.contract import Embedder, check_embedder
from dnalm.suggestions import listing


def open_embedder(entry: Mapping[str, Any], device: str) -> Embedder:
    """Return the embedder of an entry, {transformers: folder, imports} or {call, options}.

    Raises InputError where a module cannot be imported, the folder is not one that stock
    `transformers` opens, or what is opened does not keep the contract.
    """
    for name in entry.get("imports", ()):
        _import(name)
    if "transformers" in entry:
        # Here alone: whoever embeds by a factory of his own need not have it.
        try:
            from dnalm.model.embedders.stock import StockEmbedder
        except ImportError as error:
            raise InputError(
                f"{entry['transformers']} is opened by the package transformers, which is not here"
                f" ({error}): install it (`pip install dnalm[huggingface]`), or name an"
                " `environment` that has it."
            ) from error
        known = {key: entry[key] for key in ("linear", "ignore_code") if key in entry}
        embedder = StockEmbedder(entry["transformers"], device, **known)
    else:
        embedder = _call(entry["call"], device, entry.get("options", {}))
    check_embedder(embedder, name_embedder(entry))
    return embedder


def locate_embedder(entry: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the folder in which the `files` of its model are, if it has any."""
    if "settings" not in files:
        return dict(entry)
    return {**entry, "transformers": str(Path(files["settings"]).parent)}


def name_embedder(entry: Mapping[str, Any]) -> str:
    """Return what messages call an embedder."""
    return str(entry.get("transformers") or entry["call"])


def hash_weights(embedder: Embedder, entry: Mapping[str, Any]) -> str:
    """Return the sha256 of an embedder's files; of what it was called with if it has none."""
    if not embedder.weights:
        return hash_text(json.dumps(dict(entry), sort_keys=True), 64)
    return hash_facts([sha256_of(path) for path in embedder.weights], 64)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"The module {name} of an embedder cannot be imported ({error}): install its package in"
            " the environment of this job, or put its folder on PYTHONPATH."
        ) from error


def _call(call: str, device: str, options: Mapping[str, Any]) -> Any:
    module, _, function = call.partition(":")
    factory = getattr(_import(module), function, None)
    if not callable(factory):
        raise InputError(f"The module {module} has no function {function}: correct `{call}`.")
    try:
        inspect.signature(factory).bind(device=device, **options)
    except TypeError as error:
        raise InputError(
            f"`{call}` cannot be called with device and the options {listing(options)} ({error}):"
            " correct `options`."
        ) from error
    except ValueError:
        pass  # a function of C that does not tell what it takes
    return factory(device=device, **options)
