"""What a corpus or model of the configuration resolves to, defaults filled in."""

from collections.abc import Mapping
from typing import Any

from dnalm.configuration.resolve.layers import merge
from dnalm.configuration.weights import UNTRAINED, is_loaded, resolve_weights
from dnalm.genome.kmers import Vocabulary


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
    # Only where they are asked for: what decided a model that was trained before has no such keys.
    if pretrain["residual"] == "float32":
        del pretrain["residual"]
    if corpus := settings.get("corpus"):
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
