"""Small encoders of both generations, the same weights in other people's code, and a batch.

Shape letters: B batch, T tokens, D width, F feed-forward width, L layers.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.weights import to_published

VOCABULARIES = {version: Vocabulary(3, version) for version in ("v1", "v2")}
V1 = EncoderConfig(
    layers=3,
    heads=4,
    width=32,
    ffn_width=48,
    positions="learned",
    feed_forward="gelu",
    ffn_bias=True,
    max_tokens=30,
    vocabulary_size=VOCABULARIES["v1"].size,
    pad_id=1,
    mask_id=2,
    token_dropout=0.12,
    dropout=0.0,
    layer_norm_eps=1e-5,
    initialisation="haiku",
)
V2 = replace(
    V1,
    positions="rotary",
    feed_forward="swiglu",
    ffn_bias=False,
    token_dropout=None,
    vocabulary_size=VOCABULARIES["v2"].size,
)


class Batch(NamedTuple):
    tokens: Tensor  # int64[B, T], rows of 24, 17, 9 and 2 real tokens, some of them <mask>
    real: Tensor  # bool[B, T], False at pads
    selected: Tensor  # int64[B, 4], where the loss is taken, of real tokens
    targets: Tensor  # int64[B, 4], the tokens to be found there


class GatedIntermediate(nn.Module):
    """swish(a)·b without bias in the place of ESM's `intermediate`."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, 2 * ffn_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dense(x).tensor_split(2, dim=-1)
        return functional.silu(a) * b


@pytest.fixture(params=["v1", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def config(generation: str) -> EncoderConfig:
    return {"v1": V1, "v2": V2}[generation]


@pytest.fixture
def vocabulary(generation: str) -> Vocabulary:
    return VOCABULARIES[generation]


@pytest.fixture
def encoder(config: EncoderConfig) -> Encoder:
    """Return an encoder in which no two arrays are alike, LayerNorms and biases included.

    Its states stay near 1, so that float32 itself errs by 2e-6, on some processors by
    four times as much: well below the bar of 3e-5.
    """
    encoder = Encoder(config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            centre = 1.0 if "norm." in name and name.endswith("weight") else 0.0
            parameter.normal_(centre, 0.15, generator=generator)
    return encoder.eval()


@pytest.fixture
def batch(vocabulary: Vocabulary) -> Batch:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.tensor([24, 17, 9, 2])
    tokens = torch.randint(
        vocabulary.kmer_offset, vocabulary.size, (len(lengths), 24), generator=generator
    )
    tokens[:, 0] = vocabulary.cls
    selected = torch.tensor([[1, 5, 9, 23], [2, 3, 4, 16], [0, 1, 7, 8], [0, 0, 1, 1]])
    targets = tokens.gather(1, selected)
    # Unequal shares of <mask>, so that the rescaling of token dropout differs between rows.
    tokens[0, [1, 5, 9]] = vocabulary.mask
    tokens[1, [2, 16]] = vocabulary.mask
    tokens[2, 8] = vocabulary.mask
    real = torch.arange(24) < lengths[:, None]
    return Batch(tokens.masked_fill(~real, vocabulary.pad), real, selected, targets)


@pytest.fixture
def make_reference() -> Callable[..., EsmForMaskedLM]:
    """Return a function that puts an encoder's weights into `transformers.EsmForMaskedLM`."""
    return reference_of


def reference_of(encoder: Encoder, attention: str = "eager") -> EsmForMaskedLM:
    config = encoder.config
    rotary = config.positions == "rotary"
    reference = EsmForMaskedLM(
        EsmConfig(
            vocab_size=config.vocabulary_size,
            mask_token_id=config.mask_id,
            pad_token_id=config.pad_id,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.ffn_width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=config.max_tokens + 2,
            layer_norm_eps=config.layer_norm_eps,
            position_embedding_type="rotary" if rotary else "absolute",
            token_dropout=config.token_dropout is not None,
            emb_layer_norm_before=False,
            tie_word_embeddings=False,
            attn_implementation=attention,
        )
    )
    if config.feed_forward == "swiglu":
        for layer in reference.esm.encoder.layer:
            layer.intermediate = GatedIntermediate(config.width, config.ffn_width)
            layer.output.dense = nn.Linear(config.ffn_width, config.width, bias=False)
    outcome = reference.load_state_dict(to_published(encoder.state_dict()), strict=False)
    assert not outcome.unexpected_keys
    assert all(
        key.startswith("esm.contact_head.") or key == "esm.rotary_embeddings.inv_freq"
        for key in outcome.missing_keys
    )
    return reference.eval()
