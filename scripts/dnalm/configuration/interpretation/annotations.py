"""Annotations of the configuration: what an entry resolves to, and what does not fit in it."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.interpretation.reading import find_too_long
from dnalm.configuration.models import find_unknown
from dnalm.configuration.weights import UNTRAINED, has_embedder, is_foreign
from dnalm.suggestions import Needed

MAPS = "maps"
OF_OURS = ("attention",)  # analyses that a model by an embedder has not
AROUND = "each"  # windows around occurrences of every element
WILDCARDS = set("*?[")


def select_annotations(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of `annotations:` that run.annotations asks for, defaults filled in."""
    patterns, entries = config["run"]["annotations"], config["annotations"]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: resolve_annotation(config, name) for name in chosen}


def resolve_annotation(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an entry of `annotations:`, defaults filled in; InputError where there is none."""
    return {**config["annotation"], **Needed("annotations", config["annotations"])[name]}


def find_annotation_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of `annotations:` that does not fit the configuration."""
    for pattern in config["run"]["annotations"]:
        if not WILDCARDS & set(pattern):
            yield from find_unknown("run.annotations", pattern, config["annotations"])
    for name in config["annotations"]:
        key, entry = f"annotations.{name}", resolve_annotation(config, name)
        yield from find_unknown(f"{key}.genome", entry["genome"], config["genomes"])
        if not entry["transcripts"] and not entry["bed"]:
            yield (
                f"{key} names no elements: give `transcripts`, a GTF or GFF3 file, or files in"
                " `bed`."
            )
        if MAPS in entry["analyses"] and entry["windows"] != AROUND:
            yield (
                f"{key}.analyses: a map is of windows around elements; write windows: {AROUND}, or"
                " leave maps out."
            )
        for model in entry["models"]:
            yield from _model(key, model, entry, config)


def _embedded(key: str, model: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not fit between an entry and a model that an embedder opens."""
    if model.endswith(UNTRAINED):
        yield (
            f"{key}.models: '{model}' would be the untrained twin of a model that an embedder"
            " opens, which there is not; drop it."
        )
    elif set(entry["analyses"]) <= set(OF_OURS):
        yield (
            f"{key}.models: of '{model}', which an embedder opens, there are reconstruction and"
            " maps alone; add one of them to the analyses, or drop it."
        )


def _model(
    key: str, model: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    trained = model.removesuffix(UNTRAINED)
    unknown = list(find_unknown(f"{key}.models", trained, config["models"]))
    yield from unknown
    if unknown:
        return
    if has_embedder(config, trained):
        yield from _embedded(key, model, entry)
        return
    if is_foreign(config, trained):
        yield (
            f"{key}.models: of '{model}' there are embeddings alone, and no model to read other"
            " sequences; drop it."
        )
        return
    yield from find_too_long(config, model, f"{key}.bases", entry["bases"])
