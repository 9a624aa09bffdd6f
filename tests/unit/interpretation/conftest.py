"""A small first-generation model, and the same one as `transformers` has it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_config
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights, to_published


@dataclass(frozen=True)
class Pair:
    """Files of a model, and its EsmForMaskedLM."""

    files: dict[str, str]
    vocabulary: Vocabulary
    encoder: Encoder
    reference: Any


@pytest.fixture(scope="session")
def esm(tmp_path_factory) -> Pair:
    """Return a model of 3-mers, 40 tokens, whose probabilities are far from uniform."""
    from transformers import EsmConfig, EsmForMaskedLM

    vocabulary = Vocabulary(3, "v1")
    config = EncoderConfig(
        layers=2,
        heads=2,
        width=16,
        ffn_width=32,
        positions="learned",
        feed_forward="gelu",
        ffn_bias=True,
        max_tokens=40,
        vocabulary_size=vocabulary.size,
        pad_id=vocabulary.pad,
        mask_id=vocabulary.mask,
        token_dropout=0.12,
        dropout=0.0,
        layer_norm_eps=1e-5,
        initialisation="normal",
    )
    encoder = Encoder(config)
    initialise(encoder, seed=3)
    for block in encoder.blocks:
        block.feed_forward.output.weight.data *= 20
    encoder.head.decoder.weight.data *= 30
    folder = tmp_path_factory.mktemp("esm")
    files = {"run": str(folder / "run.json"), "weights": str(folder / "weights.safetensors")}
    save_weights(encoder, files["weights"], {})
    facts = {"model": "small", "encoder": vars(config), "k": 3, "vocabulary": "v1"}
    Path(files["run"]).write_text(json.dumps(facts))
    reference = EsmForMaskedLM(EsmConfig(**export_config(config)))
    reference.load_state_dict(to_published(encoder.state_dict()), strict=False)
    return Pair(files, vocabulary, encoder.eval(), reference.eval())
