"""A small encoder in the two files that a pre-training run leaves."""

import json
from pathlib import Path

import pytest

from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights


@pytest.fixture
def small_model(tmp_path: Path) -> dict[str, str]:
    """Return the paths of `run` and `weights`: k = 2, two layers, 64 tokens."""
    vocabulary = Vocabulary(2, "v2")
    config = EncoderConfig(
        layers=2,
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
    initialise(encoder, 3)
    files = {name: str(tmp_path / name) for name in ("run.json", "weights.safetensors")}
    save_weights(encoder, files["weights.safetensors"], {})
    facts = {"model": "small", "encoder": vars(config), "k": 2, "vocabulary": "v2"}
    Path(files["run.json"]).write_text(json.dumps(facts))
    return {"run": files["run.json"], "weights": files["weights.safetensors"]}
