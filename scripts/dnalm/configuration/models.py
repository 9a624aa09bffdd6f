"""What the schema cannot see in the models: names, sizes, and what would stop them late."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dnalm.configuration.resolve import UNTRAINED, merge, resolve_k, resolve_preset, select_tasks
from dnalm.configuration.weights import find_weight_errors, has_embedder, is_foreign, is_of_hub
from dnalm.suggestions import nearest

OF_FOREIGN = {"licence", "citation", "published_as"}
OF_TRANSFORMERS, OF_CALL = {"imports", "revision", "linear", "ignore_code"}, {"options"}


def find_model_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of `models:` that does not fit the rest of the configuration."""
    yield from _models(config)
    yield from find_weight_errors(config)


def find_unknown(key: str, name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield what to say of a name at `key` that is none of the `known` ones, if it is none."""
    known = list(known)
    if name not in known:
        yield f"{key}: '{name}' is unknown{nearest(name, known)}"


def _models(config: Mapping[str, Any]) -> Iterator[str]:
    for name, model in config["models"].items():
        key, corpus = f"models.{name}", model.get("corpus")
        if name.endswith(UNTRAINED):
            yield f"{key}: names ending in {UNTRAINED} are reserved; rename it."
        if has_embedder(config, name):
            yield from _embedder(config, name)
            continue
        if is_foreign(config, name):
            yield from _foreign(key, model)
            continue
        unknown = [
            *find_unknown(f"{key}.preset", model["preset"], config["model"]["presets"]),
            *(
                find_unknown(f"{key}.corpus", corpus, config["corpora"])
                if corpus is not None
                else ()
            ),
        ]
        yield from unknown or _misfits(config, name)
        if corpus is not None:
            yield from _residual(config, name)
        masking = config["pretrain"]["masking"] | model.get("pretrain", {}).get("masking", {})
        if masking["masked"] + masking["random"] > 1:
            yield (
                f"{key}: pretrain.masking has masked {masking['masked']} and random"
                f" {masking['random']}; their sum may be at most 1, the rest is kept."
            )


def _residual(config: Mapping[str, Any], name: str) -> Iterator[str]:
    pretrain = merge(config["pretrain"], config["models"][name].get("pretrain", {}))
    if pretrain["residual"] == "bf16" and pretrain["precision"] == "float32":
        yield (
            f"models.{name}: pretrain.residual is bf16, which takes a pretrain.precision of bf16 or"
            " auto, but that is float32; change one of them."
        )


def _foreign(key: str, model: Mapping[str, Any]) -> Iterator[str]:
    for unused in sorted(model.keys() - OF_FOREIGN - {"embeddings"}):
        yield f"{key}.{unused}: of this model there are embeddings alone; remove the key."
    try:
        model["embeddings"].format(task="", name="")
    except (KeyError, IndexError, ValueError):
        yield (
            f"{key}.embeddings: '{model['embeddings']}' has braces of another meaning than"
            " {task} or {name}; correct it."
        )


def _embedder(config: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield what does not fit in a model that an embedder opens."""
    key, model = f"models.{name}", config["models"][name]
    entry = model["embedder"]
    for unused in sorted(model.keys() - OF_FOREIGN - {"embedder", "environment"}):
        yield f"{key}.{unused}: this model is opened by its embedder; remove the key."
    own, others = (OF_CALL, OF_TRANSFORMERS) if "call" in entry else (OF_TRANSFORMERS, OF_CALL)
    for unused in sorted(entry.keys() & others - own):
        door = "call" if "call" in entry else "transformers"
        yield f"{key}.embedder.{unused}: it says nothing beside `{door}`; remove it."
    for target, text in entry.get("linear", {}).items():
        try:
            re.compile(text)
        except re.error as error:
            yield (
                f"{key}.embedder.linear.{target}: '{text}' is no regular expression ({error});"
                " correct it."
            )
    if "transformers" in entry and "revision" in entry and not is_of_hub(config, name):
        yield f"{key}.embedder.revision: a folder has no revision; remove it."


def _misfits(config: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield what does not fit between a model's preset and its corpus, or within the preset."""
    key, preset = f"models.{name}", resolve_preset(config, name)
    if "corpus" in config["models"][name]:
        yield from _corpus_misfits(config, name, preset)
    if preset["width"] % preset["heads"]:
        yield (
            f"{key}: width {preset['width']} is not a multiple of {preset['heads']} heads; change"
            " one of them."
        )
    elif preset["positions"] == "rotary" and preset["width"] // preset["heads"] % 2:
        yield (
            f"{key}: heads are {preset['width'] // preset['heads']} wide, rotary positions need an"
            " even number; change width or heads."
        )


def _corpus_misfits(
    config: Mapping[str, Any], name: str, preset: Mapping[str, Any]
) -> Iterator[str]:
    key, corpus_name = f"models.{name}", config["models"][name]["corpus"]
    corpus = config["corpora"][corpus_name]
    if preset["vocabulary"] != corpus["vocabulary"]:
        yield (
            f"{key}: its preset reads vocabulary {preset['vocabulary']}, its corpus"
            f" '{corpus_name}' holds {corpus['vocabulary']}; choose a corpus with the same one."
        )
    if preset["max_tokens"] < corpus["max_tokens"]:
        yield (
            f"{key}: its preset reads at most {preset['max_tokens']} tokens, its corpus"
            f" '{corpus_name}' has windows of up to {corpus['max_tokens']}; lower corpora."
            f"{corpus_name}.max_tokens."
        )
    yield from _weightless(config, name)


def _weightless(config: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield why no window of a model's corpus could be learned from."""
    corpus_name = config["models"][name]["corpus"]
    corpus = config["corpora"][corpus_name]
    rule = corpus["windows"]
    rule = config["windows"].get(rule) if isinstance(rule, str) else rule
    if rule is None:
        return  # which is told elsewhere
    kmers = min(corpus["max_tokens"] - 1, (rule["length"] - rule["start_max"]) // corpus["k"])
    least = config["corpus"]["min_kmers"]
    if kmers < least:
        yield (
            f"corpora.{corpus_name}: its windows hold at most {kmers} k-mers, but only those with"
            f" {least} count; lower corpus.min_kmers or lengthen the windows."
        )
    masking = merge(config["pretrain"], config["models"][name].get("pretrain", {}))["masking"]
    if kmers >= 1 and round(masking["selected"] * kmers) < 1:
        yield (
            f"models.{name}: of {kmers} tokens of a window, pretrain.masking.selected"
            f" {masking['selected']:g} leaves none to guess; raise it."
        )


def find_benchmark_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would stop the benchmark of the selected models, found before their training."""
    for name in config["run"]["models"]:
        model = config["models"].get(name)
        if not model or model.get("preset") not in config["model"]["presets"]:
            continue
        if "corpus" in model and model["corpus"] not in config["corpora"]:
            continue
        if "corpus" not in model and "weights" not in model:
            continue
        preset, layers = resolve_preset(config, name), config["embed"]["layers"]
        if isinstance(layers, list) and max(layers) > preset["layers"]:
            yield (
                f"embed.layers: {max(layers)} is asked for, the model '{name}' has"
                f" {preset['layers']} layers; drop it."
            )
        for task in select_tasks(config):
            length = config["tasks"][task].get("length")
            tokens = 1 + sum(divmod(length, resolve_k(config, name))) if length else 0
            if tokens > preset["max_tokens"]:
                yield (
                    f"tasks.{task}: sequences of {length} bases are {tokens} tokens, the model"
                    f" '{name}' reads {preset['max_tokens']}; choose another model or task."
                )
