"""Variants of the configuration: what an entry resolves to, and what does not fit in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.models import find_unknown
from dnalm.configuration.prioritisation import needs_features
from dnalm.configuration.resolve import resolve_k, resolve_preset
from dnalm.configuration.weights import UNTRAINED, has_embedder, is_foreign

# What scores, or the files of them, depend on.
OF_SCORES = (
    *("window", "layer", "pooling", "scores", "frames", "strands", "shared_bases", "max_n"),
    *("contig_names", "largest_mismatch", "sites_only", "index", "features"),
    *("precision", "batch_tokens", "part_records"),
)
WILDCARDS = set("*?[")


def resolve_variants(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of the scores of an entry of `variants:`, defaults filled in."""
    settings = {**config["variant"], **config["variants"][name]}
    kept = {key: settings[key] for key in OF_SCORES}
    kept["features"] = needs_features(config, name)
    return {"set": name, "genome": settings["genome"], **kept}


def find_variant_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of `variants:` that does not fit the configuration."""
    for pattern in config["run"]["variants"]:
        if not WILDCARDS & set(pattern):
            yield from find_unknown("run.variants", pattern, config["variants"])
    for name, entry in config["variants"].items():
        key = f"variants.{name}"
        yield from find_unknown(f"{key}.genome", entry["genome"], config["genomes"])
        for model in entry["models"]:
            trained = model.removesuffix(UNTRAINED)
            yield from find_unknown(f"{key}.models", trained, config["models"])
            if has_embedder(config, trained):
                yield from _embedded(key, model, resolve_variants(config, name))
            elif is_foreign(config, trained):
                yield (
                    f"{key}.models: of '{model}' there are embeddings alone, and no model to read"
                    " other sequences; drop it."
                )
            elif _has_shape(config, trained):
                yield from _shape(key, trained, resolve_variants(config, name), config)


def _embedded(key: str, model: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not fit between an entry and a model that an embedder opens."""
    if model.endswith(UNTRAINED):
        yield (
            f"{key}.models: '{model}' would be the untrained twin of a model that an embedder"
            " opens, which there is not; drop it."
        )
    if settings["layer"] == 0:
        yield (
            f"{key}.layer: 0 is the token table, which '{model}' does not give; name a layer from 1"
            " on, or last."
        )
    if settings["frames"] == "all":
        yield (
            f"{key}.frames: the places of a base in a token of '{model}', which an embedder opens,"
            " are not known; set it to 1."
        )


def _has_shape(config: Mapping[str, Any], model: str) -> bool:
    """Return whether a model's preset and corpus are there: what they lack is said of the model."""
    entry = config["models"].get(model, {})
    corpus = entry.get("corpus")
    return entry.get("preset") in config["model"]["presets"] and (
        corpus is None or corpus in config["corpora"]
    )


def _shape(
    key: str, model: str, settings: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    preset, k = resolve_preset(config, model), resolve_k(config, model)
    most = k * (preset["max_tokens"] - 1)
    window, layer = settings["window"], settings["layer"]
    if window != "auto" and window > most:
        yield (
            f"{key}.window: '{model}' reads {most:,} bases at most, not {window:,}; lower it, or"
            " write auto."
        )
    if window != "auto" and window < 2 * k:
        yield f"{key}.window: {window} bases hold no two {k}-mers of '{model}'; raise it."
    if layer != "last" and layer > preset["layers"]:
        yield (
            f"{key}.layer: '{model}' has the layers 1 to {preset['layers']}, not {layer}; name one"
            " of these, 0 for the token table, or last."
        )
