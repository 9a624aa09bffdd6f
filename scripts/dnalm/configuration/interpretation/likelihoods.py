"""Entries of the configuration that masked tokens are predicted for: SNPs of panels."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.models import find_unknown
from dnalm.configuration.resolve import resolve_k, resolve_preset
from dnalm.configuration.weights import UNTRAINED, has_embedder, is_foreign
from dnalm.suggestions import nearest

# The sections of entries, and that of what these may leave out.
DEFAULTS = {"snps": "snp"}
WILDCARDS = set("*?[")


def select_entries(config: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a section that `run` asks for, defaults filled in."""
    patterns, entries = config["run"][section], config[section]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: resolve_entry(config, section, name) for name in chosen}


def resolve_entry(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """Return an entry of a section, defaults filled in."""
    return {**config[DEFAULTS[section]], **config[section][name]}


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


def _model(
    key: str, model: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    trained = model.removesuffix(UNTRAINED)
    unknown = list(find_unknown(f"{key}.models", trained, config["models"]))
    yield from unknown
    if unknown:
        return
    if has_embedder(config, trained) or is_foreign(config, trained):
        yield (
            f"{key}.models: '{model}' is no masked-language model of ours, and gives no"
            " probabilities of tokens; drop it."
        )
        return
    described = config["models"][trained]
    corpus = described.get("corpus")
    if described.get("preset") not in config["model"]["presets"] or (
        corpus is not None and corpus not in config["corpora"]
    ):
        return  # what a model lacks is said of the model
    most = resolve_k(config, trained) * (resolve_preset(config, trained)["max_tokens"] - 1)
    if "bases" in entry and entry["bases"] > most:
        yield (
            f"{key}.bases: '{model}' reads {most:,} bases at most, not {entry['bases']:,}; lower"
            " it."
        )
