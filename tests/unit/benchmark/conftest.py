"""A small encoder in the two files that a pre-training run leaves."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights


@pytest.fixture
def draw_model(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return a function that makes a model of 64 tokens, and returns the paths `run`, `weights`."""

    def draw(*, k: int, layers: int, seed: int) -> dict[str, str]:
        vocabulary = Vocabulary(k, "v2")
        config = EncoderConfig(
            layers=layers,
            heads=2,
            width=16,
            ffn_width=24,
            positions="rotary",
            feed_forward="swiglu",
            ffn_bias=False,
            max_tokens=64,
            vocabulary_size=vocabulary.size,
            pad_id=vocabulary.pad,
            mask_id=vocabulary.mask,
            token_dropout=None,
            dropout=0.0,
            layer_norm_eps=1e-5,
            initialisation="haiku",
        )
        encoder = Encoder(config)
        initialise(encoder, seed)
        run, weights = str(tmp_path / "run.json"), str(tmp_path / "weights.safetensors")
        save_weights(encoder, weights, {})
        facts = {"model": "small", "encoder": vars(config), "k": k, "vocabulary": "v2"}
        Path(run).write_text(json.dumps(facts))
        return {"run": run, "weights": weights}

    return draw


@pytest.fixture
def small_model(draw_model) -> dict[str, str]:
    """Return the paths of a model's `run` and `weights`: k = 2, two layers, 64 tokens."""
    return draw_model(k=2, layers=2, seed=3)
