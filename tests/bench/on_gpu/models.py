"""The models that are measured: as config.yaml resolves them, drawn on the device itself."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from dnalm.configuration.resolve import merge, resolve_run
from dnalm.model.encoder import Encoder, EncoderConfig

CONFIG = Path(__file__).parents[3] / "config.yaml"
SIZES = {"layers": 2, "heads": 2, "width": 32, "ffn_width": 64, "max_tokens": 24}
# Models of no meaning, to try every line: windows of 24 tokens, 6-mers.
TINY = {
    "model": {
        "presets": {f"tiny-{form}": {"generation": form, **SIZES} for form in ("v1", "v2")},
    },
    "windows": {"tiny": {"length": 160, "stride": 150, "start_max": 20}},
    "corpora": {
        f"tiny-{form}": {
            "genomes": ["simulated"],
            "windows": "tiny",
            "split": {"by": "contig", "validation": ["validation"], "test": ["test"]},
            "k": 6,
            "vocabulary": form,
            "max_tokens": 24,
        }
        for form in ("v1", "v2")
    },
    "corpus": {"min_kmers": 8},
    "models": {f"tiny-{form}": {"preset": f"tiny-{form}", "corpus": f"tiny-{form}"}
               for form in ("v1", "v2")},
}  # fmt: skip


@cache
def read_config() -> dict[str, Any]:
    """Return config.yaml with the tiny models added."""
    return merge(yaml.safe_load(CONFIG.read_text()), TINY)


def describe_run(model: str) -> dict[str, Any]:
    """Return what decides a model's weights, as for run.json."""
    return resolve_run(read_config(), model)


def find_encoder(model: str) -> EncoderConfig:
    return EncoderConfig(**describe_run(model)["encoder"])


def draw_encoder(config: EncoderConfig, device: torch.device) -> Encoder:
    """Return an encoder with random weights that were drawn on `device`, always the same there."""
    torch.manual_seed(0)
    with device:
        encoder = Encoder(config)  # torch draws all but the tables
        for name in ("tokens", "positions"):
            if hasattr(encoder, name):
                nn.init.normal_(getattr(encoder, name).weight)
    return encoder
