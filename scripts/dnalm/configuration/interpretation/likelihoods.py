"""Entries that masked tokens are predicted for: SNPs of panels, assays, tracks of genomes."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.interpretation.reading import find_too_long
from dnalm.configuration.models import find_unknown
from dnalm.configuration.resolve import resolve_k
from dnalm.configuration.weights import UNTRAINED, has_embedder, is_foreign
from dnalm.suggestions import Needed, nearest

# The sections of entries, and that of what these may leave out.
DEFAULTS = {"snps": "snp", "assays": "assay", "tracks": "track"}
# What an assay takes from `variant:` where it has none of its own.
OF_VARIANTS = (
    *("window", "layer", "pooling", "scores", "frames", "strands", "shared_bases", "max_n"),
    *("contig_names", "largest_mismatch", "index", "features", "precision"),
    *("batch_tokens", "part_records"),
)
WILDCARDS = set("*?[")


def select_entries(config: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a section that `run` asks for, defaults filled in."""
    patterns, entries = config["run"][section], config[section]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: resolve_entry(config, section, name) for name in chosen}


def resolve_entry(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """Return an entry of a section, defaults filled in, also within `columns` and `bootstrap`.

    Raises InputError where there is none of that name.
    """
    defaults, own = config[DEFAULTS[section]], Needed(section, config[section])[name]
    merged = {
        key: {**value, **own[key]}
        for key, value in defaults.items()
        if isinstance(value, dict) and key in own
    }
    return {**defaults, **own, **merged}


def resolve_assay(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of an assay, with those of `variant:` where it has none of its own."""
    entry = resolve_entry(config, "assays", name)
    settings = {key: entry.get(key, config["variant"][key]) for key in OF_VARIANTS}
    own = ("genome", "columns", "interval", "published_as", "bootstrap")
    return {"assay": name, **settings, "features": False, **{key: entry[key] for key in own}}


def find_training_panel(config: Mapping[str, Any], model: str) -> tuple[bool, str | None]:
    """Return whether it is known what a model was trained on, and the panel that was part of it.

    Of an untrained one it is known: nothing. Of weights from elsewhere it is not.
    """
    if model.endswith(UNTRAINED):
        return True, None
    corpus = config["models"][model].get("corpus")
    if corpus is None:
        return False, None
    return True, config["corpora"][corpus].get("haplotypes", {}).get("panel")


def find_likelihood_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of these sections that does not fit the configuration."""
    for section in DEFAULTS:
        for pattern in config["run"][section]:
            if not WILDCARDS & set(pattern):
                yield from find_unknown(f"run.{section}", pattern, config[section])
        for name in config[section]:
            key, entry = f"{section}.{name}", resolve_entry(config, section, name)
            for model in entry["models"]:
                yield from _model(key, model, entry, config)
            if "genome" in entry:
                yield from find_unknown(f"{key}.genome", entry["genome"], config["genomes"])
    for name in config["assays"]:
        yield from _assay(f"assays.{name}", resolve_entry(config, "assays", name))
    for name in config["tracks"]:
        yield from _track(f"tracks.{name}", resolve_entry(config, "tracks", name), config)
    for name in config["snps"]:
        yield from _snps(f"snps.{name}", resolve_entry(config, "snps", name), config)


def _snps(key: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    unknown = list(find_unknown(f"{key}.panel", entry["panel"], config["panels"]))
    yield from unknown
    panel = config["panels"].get(entry["panel"])
    for contig in entry["contigs"] or () if panel else ():
        if contig not in panel["contigs"]:
            yield (
                f"{key}.contigs: '{contig}' is not among the `contigs` of panel '{entry['panel']}'"
                f"{nearest(contig, panel['contigs'])}"
            )
    if panel and entry["by"] and "populations" not in panel:
        yield (
            f"{key}.by: panel '{entry['panel']}' names no table of `populations`; add it there, or"
            " write by: null."
        )


def _assay(key: str, entry: Mapping[str, Any]) -> Iterator[str]:
    interval = entry["interval"]
    if interval and interval["end"] < interval["start"]:
        yield (
            f"{key}.interval: its end, {interval['end']:,}, lies before its start,"
            f" {interval['start']:,}; write the smaller first, whatever the strand."
        )


def _track(key: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    for model in entry["models"]:
        described = config["models"].get(model.removesuffix(UNTRAINED), {})
        if described.get("corpus") in config["corpora"]:
            k = resolve_k(config, model.removesuffix(UNTRAINED))
            for frame in entry["frames"]:
                if frame >= k:
                    yield (
                        f"{key}.frames: {frame} is no place in a {k}-mer of '{model}'; give numbers"
                        f" from 0 to {k - 1}."
                    )


def _model(
    key: str, model: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what does not fit between an entry and a model."""
    trained = model.removesuffix(UNTRAINED)
    unknown = list(find_unknown(f"{key}.models", trained, config["models"]))
    yield from unknown
    if unknown:
        return
    if has_embedder(config, trained):
        if model != trained:
            yield (
                f"{key}.models: '{model}' would be the untrained twin of a model that an embedder"
                " opens, which there is not; drop it."
            )
        return  # whether it predicts tokens is known where it is opened
    if is_foreign(config, trained):
        yield (
            f"{key}.models: '{model}' is no masked-language model, and gives no"
            " probabilities of tokens; drop it."
        )
        return
    # What an assay does not say is that of `variant:`, and auto as long as the model reads.
    for name in ("bases", "window"):
        if isinstance(entry.get(name), int):
            yield from find_too_long(config, model, f"{key}.{name}", entry[name])
