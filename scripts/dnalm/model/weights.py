"""Weight files of an encoder, under the parameter names of published checkpoints.

The names are those of `transformers`' ESM, so that published weights load into our encoder and ours
open in `EsmForMaskedLM`. Files are safetensors; shapes are those of torch, (out,
in) for matrices.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dnalm.errors import InputError
from dnalm.files import atomic_path, refuse_stream
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.foreign_names import advise, tie_decoder, without_wrappers
from dnalm.model.tensors import FORMAT, UNREADABLE, sort_metadata

OUTER_NAMES = {
    "tokens.weight": "esm.embeddings.word_embeddings.weight",
    "positions.weight": "esm.embeddings.position_embeddings.weight",
    "norm.weight": "esm.encoder.emb_layer_norm_after.weight",
    "norm.bias": "esm.encoder.emb_layer_norm_after.bias",
    "head.dense.weight": "lm_head.dense.weight",
    "head.dense.bias": "lm_head.dense.bias",
    "head.norm.weight": "lm_head.layer_norm.weight",
    "head.norm.bias": "lm_head.layer_norm.bias",
    "head.decoder.weight": "lm_head.decoder.weight",
    "head.decoder.bias": "lm_head.bias",
}
BLOCK_NAMES = {
    "attention_norm": "attention.LayerNorm",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "feed_forward_norm": "LayerNorm",
    "feed_forward.input": "intermediate.dense",
    "feed_forward.output": "output.dense",
}
# Earlier names of LayerNorm's parameters, which `transformers` still reads and, since version 5,
# writes.
LEGACY_SUFFIXES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
# Tensors of published files that the forward pass does not use.
UNUSED_TENSORS = re.compile(
    r"esm\.contact_head\.regression\..*"
    r"|esm\.embeddings\.position_ids"
    r"|esm\.(encoder\.layer\.(\d+|\*)\.attention\.self\.)?rotary_embeddings\.inv_freq"
)
UNUSED_WITH_ROTARY = "esm.embeddings.position_embeddings.weight"
# The share of <mask> that `EsmForMaskedLM` assumes when its token dropout is on.
PUBLISHED_TOKEN_DROPOUT = 0.12
MAX_LISTED = 5
# Numbers that stand for themselves: those of 8 bits are multiplied by scales that nobody knows.
REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
UNQUANTISE = (
    "numbers of 8 bits stand for others: convert them to float32, with their scales, where they"
    " come from"
)

log = logging.getLogger(__name__)


def save_weights(encoder: Encoder, path: str | Path, metadata: Mapping[str, str]) -> None:
    """Write the encoder's weights under their published names, float32, complete or not at all.

    Equal weights and metadata give equal bytes. Adapters must have been removed before.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float32).contiguous()
        for name, tensor in to_published(encoder.state_dict()).items()
    }
    save_tensors(tensors, path, metadata)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    log.info("%s: %s weights in %d tensors", path, f"{numbers:,}", len(tensors))


def load_weights(config: EncoderConfig, path: str | Path) -> Encoder:
    """Return the encoder of `config` with the weights of a safetensors file, float32 on the CPU.

    Raises `InputError`, naming every kind of mismatch, unless the file holds exactly the tensors
    that `config` asks for. Tensors known to be unused are ignored.
    """
    published = read_tensors(path)
    try:
        return encoder_of(published, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; `InputError` when it is none or cut off."""
    try:
        refuse_stream(path)
        return load_file(path)
    except InputError:  # which is a ValueError
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as a safetensors file ({reason}); give one that is complete."
        ) from error


def encoder_of(
    published: Mapping[str, Tensor], config: EncoderConfig, *, tied: bool = False
) -> Encoder:
    """Return the encoder of `config` with published tensors; `InputError` as `from_published`."""
    state = from_published(published, config, tied=tied)
    with torch.device("meta"):
        encoder = Encoder(config)
    encoder.load_state_dict(state, assign=True)
    return encoder


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an encoder's `state_dict` to the published names."""
    return {published_name(name): tensor for name, tensor in state.items()}


def from_published(
    published: Mapping[str, Tensor], config: EncoderConfig, *, tied: bool = False
) -> dict[str, Tensor]:
    """Rename published tensors to ours, as float32.

    Names may have the prefixes of wrappers, see `without_wrappers`. With `tied` the decoder may be
    left out, which then is the table of tokens.

    Raises `InputError` when tensors are missing, not part of the model, of another shape, not of
    floating-point numbers of 16 bits or more, not finite, or given under the old name and the new.
    """
    with torch.device("meta"):
        expected = {
            published_name(name): (name, tensor.shape)
            for name, tensor in Encoder(config).state_dict().items()
        }
    published = tie_decoder(without_wrappers(published), tied=tied)
    used = {name: tensor for name, tensor in published.items() if not _is_unused(name, config)}
    given = {_without_legacy_suffix(name): tensor for name, tensor in used.items()}
    twice = [name for name in used if name != _without_legacy_suffix(name) in used]
    reshaped = [
        f"{name} {list(tensor.shape)} instead of {list(expected[name][1])}"
        for name, tensor in given.items()
        if name in expected and tensor.shape != expected[name][1]
    ]
    missing, extra = expected.keys() - given.keys(), given.keys() - expected.keys()
    unreal = [name for name, tensor in given.items() if tensor.dtype not in REAL]
    complaints = [
        f"{len(names)} {words} ({_shortened(names)})"
        for words, names in (
            ("missing", sorted(missing)),
            ("not part of the model", sorted(extra)),
            ("of another shape", sorted(reshaped)),
            ("there under two names", sorted(twice)),
            ("not of real numbers", sorted(unreal)),
            ("not finite", sorted(n for n in given.keys() - unreal if not _is_finite(given[n]))),
        )
        if names
    ]
    if complaints:
        remedy = UNQUANTISE if unreal and not missing | extra else advise(missing, extra)
        raise InputError(f"the weights do not fit the model, {', '.join(complaints)}; {remedy}.")
    return {expected[name][0]: tensor.to(torch.float32) for name, tensor in given.items()}


def published_name(name: str) -> str:
    """Return the published name of one of our parameters."""
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    _, block, rest = name.split(".", maxsplit=2)
    module, array = rest.rsplit(".", maxsplit=1)
    return f"esm.encoder.layer.{block}.{BLOCK_NAMES[module]}.{array}"


def published_config(config: EncoderConfig) -> dict[str, Any]:
    """Return the `config.json` that goes with our weights in `transformers`.

    `EsmForMaskedLM` opens v1 with it. v2's feed-forward needs the authors' own modelling code.
    Raises `InputError` for a token dropout that `transformers` cannot express.
    """
    if config.token_dropout not in (None, PUBLISHED_TOKEN_DROPOUT):
        raise InputError(
            f"The model's token_dropout is {config.token_dropout}, but transformers and published "
            f"weights know only {PUBLISHED_TOKEN_DROPOUT} or none; choose one of them."
        )
    gated = {"add_bias_fnn": config.ffn_bias} if config.feed_forward == "swiglu" else {}
    return {
        "architectures": ["EsmForMaskedLM"],
        "model_type": "esm",
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_size": config.width,
        "intermediate_size": config.ffn_width,
        "vocab_size": config.vocabulary_size,
        "pad_token_id": config.pad_id,
        "mask_token_id": config.mask_id,
        "max_position_embeddings": config.max_tokens + config.pad_id + 1,
        "position_embedding_type": "rotary" if config.positions == "rotary" else "absolute",
        "layer_norm_eps": config.layer_norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "token_dropout": config.token_dropout is not None,
        "emb_layer_norm_before": False,
        "tie_word_embeddings": False,
        **gated,
    }


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file whose bytes depend on `tensors` and `metadata` alone."""
    with atomic_path(path) as temporary:
        save_file(dict(tensors), temporary, metadata={**metadata, **FORMAT})
        sort_metadata(temporary)


def _is_unused(name: str, config: EncoderConfig) -> bool:
    return bool(UNUSED_TENSORS.fullmatch(name)) or (
        config.positions == "rotary" and name == UNUSED_WITH_ROTARY
    )


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _without_legacy_suffix(name: str) -> str:
    for old, new in LEGACY_SUFFIXES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _shortened(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
