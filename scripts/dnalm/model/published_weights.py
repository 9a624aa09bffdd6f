"""Published weights: weights, config.json and vocab.txt, checked against the model's preset.

The files are those of a `transformers` repository. No code of it is run, and no pickle is read.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dnalm.errors import InputError
from dnalm.files import read_facts, sha256_of
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.weights import encoder_of, published_config, read_tensors

# Keys of config.json that decide the forward pass, with the defaults of `transformers`.
FORWARD_PASS_KEYS: dict[str, Any] = {
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "hidden_size")),
    **dict.fromkeys(("intermediate_size", "vocab_size", "pad_token_id", "mask_token_id")),
    "position_embedding_type": "absolute",
    "max_position_embeddings": None,
    "token_dropout": False,
    "emb_layer_norm_before": False,
    "add_bias_fnn": True,  # the published name; it is that of v2's own code
    "is_decoder": False,
}
EPS_KEY = "layer_norm_eps"
MAX_SHOWN = 40  # letters of a value or token in a sentence
logger = logging.getLogger(__name__)


def load_published(
    run: Mapping[str, Any], *, weights: Sequence[str], settings: str, vocabulary: str
) -> Encoder:
    """Return the encoder that `run` describes with published weights, float32 on the CPU.

    `run` has the encoder, k and vocabulary of a run.json. `weights` are safetensors files and maybe
    their index, `settings` the config.json, `vocabulary` the vocab.txt. Raises `InputError` when
    these are of another model than `run` describes, or do not fit together.
    """
    config = EncoderConfig(**run["encoder"])
    check_settings(settings, config)
    check_vocabulary(vocabulary, Vocabulary(run["k"], run["vocabulary"]))
    tensors = read_parts(weights)
    try:
        # As in `transformers`, whose models are tied where nothing is said.
        tied = _read_settings(settings).get("tie_word_embeddings") is not False
        return encoder_of(tensors, config, tied=tied)
    except InputError as error:
        where = weights[0] if len(weights) == 1 else Path(weights[0]).parent
        raise InputError(f"{where}: {error}") from error


def describe_source(
    source: Mapping[str, Any],
    *,
    commit: str | None,
    weights: Sequence[str],
    settings: str,
    vocabulary: str,
) -> dict[str, Any]:
    """Return `source` with its commit, the sha256 of its files, and the eps that config.json names.

    Raises `InputError` for a file whose sha256 is not the one that `source` expects of its name.
    """
    sums = {Path(path).name: sha256_of(path) for path in (*weights, settings, vocabulary)}
    for name, expected in source["sha256"].items():
        if sums.get(name) != expected:
            raise InputError(
                f"{source['name']}: the sha256 of {name} is {sums.get(name, 'that of no file')}, "
                f"expected {expected}; correct the checksum in the configuration or get the file "
                "again."
            )
    return {
        **source,
        "commit": commit,
        "sha256": sums,
        EPS_KEY: _read_settings(settings).get(EPS_KEY),
    }


def check_settings(path: str | Path, config: EncoderConfig) -> None:
    """Raise `InputError` with every difference between a config.json and the preset of a model.

    LayerNorm's eps is none of them: published files and the code that trained them disagree.
    """
    theirs, ours = _read_settings(path), published_config(config)
    ours |= {"add_bias_fnn": config.ffn_bias, "is_decoder": False}
    if config.positions == "rotary":  # positions are computed, a longer table is never used
        ours.pop("max_position_embeddings")
    differences = []
    for key, silent in FORWARD_PASS_KEYS.items():
        value = theirs.get(key)
        value = silent if value is None else value
        if key in ours and value != ours[key]:
            differences.append(f"{key} is {_shown(value)} and not {_shown(ours[key])}")
    if differences:
        raise InputError(
            f"{path} is not of the model's preset: {', '.join(differences)}; choose the preset "
            "that these weights were trained with."
        )
    if EPS_KEY in theirs and theirs[EPS_KEY] != config.layer_norm_eps:
        logger.warning(
            "%s names a LayerNorm eps of %s; %s is used, set layer_norm_eps of the model to change "
            "it.",
            *(path, theirs[EPS_KEY], config.layer_norm_eps),
        )


def check_vocabulary(path: str | Path, vocabulary: Vocabulary) -> None:
    """Raise `InputError` with the first id at which a vocab.txt has another token than we have.

    Only ids with a row in the model count.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    theirs = [line.strip() for line in text.splitlines()]
    ours = vocabulary.tokens()
    for i, token in enumerate(ours[: vocabulary.size]):
        if i < len(theirs) and theirs[i] == token:
            continue
        found = f"id {i} is {theirs[i][:MAX_SHOWN]}" if i < len(theirs) else f"there is no id {i}"
        place = f" (which there is id {theirs.index(token)})" if token in theirs else ""
        raise InputError(
            f"{path}: {found}, but vocabulary {vocabulary.version} of {vocabulary.k}-mers has "
            f"{token}{place}; choose the vocabulary and k that these weights were trained with."
        )


def read_parts(paths: Sequence[str | Path]) -> dict[str, Tensor]:
    """Return the tensors of one or several safetensors files, checked against their index if given.

    Raises `InputError` when a file cannot be read, a tensor comes twice, or the index (a path that
    ends in .json) disagrees.
    """
    parts = {Path(path).name: read_tensors(path) for path in paths if Path(path).suffix != ".json"}
    tensors: dict[str, Tensor] = {}
    where: dict[str, str] = {}
    for file, part in parts.items():
        for name in part:
            if name in where:
                raise InputError(
                    f"{name} is both in {where[name]} and in {file}; name one of them."
                )
            where[name] = file
        tensors |= part
    for path in (path for path in paths if Path(path).suffix == ".json"):
        if misplaced := list(_misplaced(path, where)):
            raise InputError(f"{path} does not fit its parts: {misplaced[0]}; get all files again.")
    return tensors


def _misplaced(index: str | Path, where: Mapping[str, str]) -> Iterator[str]:
    placed = _read_settings(index).get("weight_map")
    if not isinstance(placed, dict):
        yield "it has no weight_map that names a file for each tensor"
        return
    for name in sorted(placed.keys() | where.keys()):
        if placed.get(name) != where.get(name):
            expected, found = placed.get(name, "none"), where.get(name, "none")
            yield f"{name} should be in {expected!s:.100} of the files and is in {found}"


def _read_settings(path: str | Path) -> dict[str, Any]:
    return read_facts(path, ())


def _shown(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
