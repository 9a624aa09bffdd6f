"""Our encoder against `transformers.EsmForMaskedLM`: same weights, same batch, one CPU thread.

    python tests/bench/encoder.py --output results/bench/encoder.json

Tokens per second of processor time. v2 runs in ESM's own code but for its gated feed-forward, which
`transformers` does not have. The two sides take turns, and every case counts only if losses (or
states) and all gradients agree.

Shape letters: B batch, T tokens, S selected positions, V vocabulary.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from comparison import Comparison, report, time_in_turns
from torch import Tensor, nn
from torch.nn import functional
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise
from dnalm.model.weights import published_config, published_name, to_published

LAYERS, HEADS, WIDTH, FFN_WIDTH = 4, 8, 256, 1024
BATCH, TOKENS, SELECTED = 8, 256, 38  # 15 % of the tokens
ROUNDS = 5
TOLERANCE = 1e-4  # of the norm of a gradient or state
SMALLEST_SHARE = 1e-3  # a gradient below this share of all is rounding, as v1's of key biases
IGNORED = -100  # the label at which cross-entropy takes no loss
V1 = EncoderConfig(
    layers=LAYERS,
    heads=HEADS,
    width=WIDTH,
    ffn_width=FFN_WIDTH,
    positions="learned",
    feed_forward="gelu",
    ffn_bias=True,
    max_tokens=TOKENS,
    vocabulary_size=Vocabulary(6, "v1").size,
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
    vocabulary_size=Vocabulary(6, "v2").size,
    token_dropout=None,
)


class Batch(NamedTuple):
    tokens: Tensor  # int64[B, T], a fifth of the selected positions left as they are
    selected: Tensor  # int64[B, S]
    targets: Tensor  # int64[B, S]
    labels: Tensor  # int64[B, T], `IGNORED` but at the selected positions


class GatedIntermediate(nn.Module):
    """swish(a)·b without bias in the place of ESM's `intermediate`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, 2 * config.ffn_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dense(x).chunk(2, dim=-1)
        return functional.silu(a) * b


def make_peer(encoder: Encoder) -> EsmForMaskedLM:
    """Return `EsmForMaskedLM` with the encoder's weights and its fastest CPU attention."""
    config = encoder.config
    peer = EsmForMaskedLM(EsmConfig(**published_config(config), attn_implementation="sdpa"))
    if config.feed_forward == "swiglu":
        for layer in peer.esm.encoder.layer:
            layer.intermediate = GatedIntermediate(config)
            layer.output.dense = nn.Linear(config.ffn_width, config.width, bias=False)
    outcome = peer.load_state_dict(to_published(encoder.state_dict()), strict=False)
    if outcome.unexpected_keys:
        raise RuntimeError(f"the peer does not take {outcome.unexpected_keys}")
    return peer


def make_batch(config: EncoderConfig, padded: bool) -> Batch:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(6, config.vocabulary_size, (BATCH, TOKENS), generator=generator)
    selected = torch.stack(
        [torch.randperm(TOKENS // 2, generator=generator)[:SELECTED] for _ in range(BATCH)]
    )
    targets = tokens.gather(1, selected)
    labels = torch.full_like(tokens, IGNORED).scatter(1, selected, targets)
    tokens = tokens.scatter(1, selected[:, : SELECTED * 4 // 5], config.mask_id)
    if padded:
        lengths = torch.linspace(TOKENS // 2, TOKENS, BATCH).long()
        tokens[torch.arange(TOKENS) >= lengths[:, None]] = config.pad_id
    return Batch(tokens, selected, targets, labels)


def compare_training(case: str, config: EncoderConfig) -> Comparison:
    """Forward and backward of the masked-language loss; only ours may skip unselected positions."""
    encoder = make_encoder(config)
    peer, batch = make_peer(encoder), make_batch(config, padded=False)
    real = torch.ones_like(batch.tokens)

    def run_ours() -> Tensor:
        encoder.zero_grad()
        logits = encoder(batch.tokens, batch.selected, padded=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        loss.backward()
        return loss

    def run_peer() -> Tensor:
        peer.zero_grad()
        loss = peer(batch.tokens, attention_mask=real, labels=batch.labels).loss
        loss.backward()
        return loss

    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    close = abs(run_ours() - run_peer()) < TOLERANCE
    gradients = {name: parameter.grad for name, parameter in peer.named_parameters()}
    pairs = [
        (parameter.grad, gradients[published_name(name)])
        for name, parameter in encoder.named_parameters()
    ]
    smallest = SMALLEST_SHARE * max(float(theirs.norm()) for _, theirs in pairs)
    correct = close and all(agree(ours, theirs, smallest) for ours, theirs in pairs)
    return compared(case, our_seconds, peer_seconds, bool(correct))


@torch.no_grad()
def compare_embedding(case: str, config: EncoderConfig) -> Comparison:
    """All layers' states of a batch with pads, where the peer has no way to leave out the head."""
    encoder = make_encoder(config).eval()
    peer, batch = make_peer(encoder).eval().esm, make_batch(config, padded=True)
    real = batch.tokens != config.pad_id
    layers = range(config.layers + 1)

    def run_ours() -> list[Tensor]:
        return list(encoder.embed_states(batch.tokens, layers).values())

    def run_peer() -> list[Tensor]:
        output = peer(batch.tokens, attention_mask=real.long(), output_hidden_states=True)
        return list(output.hidden_states)

    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    correct = all(
        agree(one[real], other[real]) for one, other in zip(run_ours(), run_peer(), strict=True)
    )
    return compared(case, our_seconds, peer_seconds, correct)


def make_encoder(config: EncoderConfig) -> Encoder:
    encoder = Encoder(config)
    initialise(encoder, seed=0)
    return encoder


def agree(ours: Tensor, theirs: Tensor, smallest: float = 0.0) -> bool:
    return float((ours - theirs).norm()) <= TOLERANCE * max(float(theirs.norm()), smallest)


def compared(case: str, our_seconds: float, peer_seconds: float, correct: bool) -> Comparison:
    tokens = BATCH * TOKENS
    return Comparison(
        case=case,
        ours=tokens / our_seconds,
        peer=tokens / peer_seconds,
        unit="tokens per CPU second",
        correct=correct,
        limit=1.0,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = [
        compare_training("v1 training step", V1),
        compare_training("v2 training step", V2),
        compare_embedding("v1 states of all layers", V1),
        compare_embedding("v2 states of all layers", V2),
    ]
    return report(rows, output)


if __name__ == "__main__":
    sys.exit(main())
