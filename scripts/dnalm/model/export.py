"""Export of a model as a repository of `transformers`: weights, config and tokenizer.

Stock `EsmForMaskedLM` opens the first generation. Gated feed-forwards, those of the second, are
opened by `dnalm.huggingface`, under the names and in the layout of the published v2 files.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.files import atomic_path, write_json
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import (
    GATED,
    GATED_LAYOUT,
    GATED_MODEL_TYPE,
    EncoderConfig,
    is_gated,
)
from dnalm.model.encoder import ROTARY_BASE
from dnalm.model.weights import load_weights, published_config, save_tensors, to_published

log = logging.getLogger(__name__)


def export_model(
    run: Mapping[str, Any],
    trained: str | Path,
    *,
    weights: str | Path,
    settings: str | Path,
    vocabulary: str | Path,
    tokenizer: str | Path,
) -> None:
    """Write the model of a run.json with the weights in `trained` as a repository of four files.

    Raises `InputError` when the weights do not fit, or for
    an encoder that `transformers` cannot express.
    """
    config = EncoderConfig(**run["encoder"])
    words = Vocabulary(run["k"], run["vocabulary"])
    described = export_config(config)
    encoder = load_weights(config, trained)
    tensors = {**to_published(encoder.state_dict()), **unlearned_tensors(config)}
    save_tensors(tensors, weights, {})
    own = {"model": run["model"], "k": words.k, "vocabulary": words.version}
    note = {"layout": GATED_LAYOUT} if is_gated(config) else {}
    write_json(settings, {**described, "dtype": "float32", "dnalm": {**own, **note}})
    _write(vocabulary, "\n".join(words.tokens()) + "\n")
    write_json(tokenizer, tokenizer_settings(config))
    reader = "transformers and dnalm.huggingface" if is_gated(config) else "transformers"
    log.info("%s is exported for %s", run["model"], reader)


def export_config(config: EncoderConfig) -> dict[str, Any]:
    """Return the config.json of an export; raise InputError where no model type fits."""
    described = published_config(config)
    if is_gated(config):
        own = {"model_type": GATED_MODEL_TYPE, "feed_forward": GATED, "eos_token_id": None}
        return {**described, "architectures": ["GatedEsmForMaskedLM"], **own}
    if not config.ffn_bias:
        raise InputError(
            "The model's feed-forward is gelu without biases, which neither stock ESM nor"
            " dnalm.huggingface has; it cannot be exported."
        )
    return {**described, "eos_token_id": None}


def unlearned_tensors(config: EncoderConfig) -> dict[str, Tensor]:
    """Return what `transformers` keeps in files beside what was learned.

    It reports what a file lacks as if it had to be trained. The head of contacts, of which our
    encoder knows nothing, is zeros; frequencies of rotary positions are those of the encoder.
    """
    tensors = {
        "esm.contact_head.regression.weight": torch.zeros(1, config.layers * config.heads),
        "esm.contact_head.regression.bias": torch.zeros(1),
    }
    if config.positions == "rotary":
        width = config.width // config.heads
        exponents = torch.arange(0, width, 2, dtype=torch.float) / width
        tensors["esm.rotary_embeddings.inv_freq"] = 1.0 / ROTARY_BASE**exponents
    return tensors


def tokenizer_settings(config: EncoderConfig) -> dict[str, Any]:
    """Return the tokenizer_config.json of `EsmTokenizer`: <cls> first, nothing at the end."""
    return {
        "tokenizer_class": "EsmTokenizer",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "cls_token": "<cls>",
        "eos_token": None,
        "model_max_length": config.max_tokens,
    }


def _write(path: str | Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
