"""The eight published models: their presets in config.yaml and their sizes."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig, count_parameters
from dnalm.model.encoder import Encoder

CONFIG = Path(__file__).parents[3] / "config.yaml"
# Of the authors' JAX parameters: without the table that Hugging Face's v2 files hold unused.
PUBLISHED_COUNTS = {
    "v1-500m": 485_698_825,  # 500m-human-ref and 500m-1000g
    "v1-2.5b": 2_547_800_585,  # 2.5b-1000g and 2.5b-multi-species
    "v2-50m": 54_855_179,
    "v2-100m": 96_839_179,
    "v2-250m": 233_545_995,
    "v2-500m": 496_245_771,
}
MODELS = {
    "500m-human-ref": "v1-500m",
    "500m-1000g": "v1-500m",
    "2.5b-1000g": "v1-2.5b",
    "2.5b-multi-species": "v1-2.5b",
    "v2-50m-multi-species": "v2-50m",
    "v2-100m-multi-species": "v2-100m",
    "v2-250m-multi-species": "v2-250m",
    "v2-500m-multi-species": "v2-500m",
}


def preset_config(name: str) -> EncoderConfig:
    settings = yaml.safe_load(CONFIG.read_text())["model"]
    preset = settings["presets"][name]
    merged = {**settings, **settings["generations"][preset["generation"]], **preset}
    vocabulary = Vocabulary(6, merged["vocabulary"])
    merged |= {
        "vocabulary_size": vocabulary.size,
        "pad_id": vocabulary.pad,
        "mask_id": vocabulary.mask,
    }
    return EncoderConfig(**{field.name: merged[field.name] for field in fields(EncoderConfig)})


@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    config = preset_config(name)
    with torch.device("meta"):
        counted = sum(parameter.numel() for parameter in Encoder(config).parameters())
    assert count_parameters(config) == counted == PUBLISHED_COUNTS[name]


def test_the_eight_published_models_use_these_presets() -> None:
    models = yaml.safe_load(CONFIG.read_text())["models"]
    assert {name: models[name]["preset"] for name in MODELS} == MODELS
