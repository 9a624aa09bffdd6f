"""The transformer encoder of the Nucleotide Transformer v1 and v2, from token ids to logits.

v1 has learned positions, GELU feed-forwards with biases and token dropout; v2 has rotary positions
and gated (SwiGLU) feed-forwards without biases. All else is shared: pre-LayerNorm blocks and a
masked-language head that is not tied to the token table. Source: the published code and weights,
to which tests compare the arithmetic.

Shape letters: B batch, T tokens, S selected positions, D width, F feed-forward width, H heads,
V vocabulary, L layers. Layers count from 1; layer 0 is the embedding.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig
from dnalm.model.linear import Linear

# Added to the attention logits of pad keys. Finite, so that a row of nothing but pads, which fills
# up a batch, yields numbers and not NaN.
PAD_BIAS = -1e30
ROTARY_BASE = 10_000.0


class Output(NamedTuple):
    """Logits and hidden states of a forward pass; those at pads are meaningless."""

    logits: Tensor  # [B, T, V], 0 at pads, or [B, S, V] at the selected positions
    # L + 1 of [B, T, D]: embedding, after block 1, …, the final one, of which only the selected
    # positions [B, S, D] are computed where there are such.
    states: tuple[Tensor, ...]


class Encoder(nn.Module):
    """Bidirectional transformer encoder with a masked-language head.

    Its tables hold zeros, its other weights `torch.nn`'s own draw, until `initialise` or
    `load_weights` sets them.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        # In which hidden states are kept and added between blocks, None: as the tables. LayerNorms
        # of lower ones compute in float32 under autocast.
        self.residual: torch.dtype | None = None
        self.tokens = empty_table(config.vocabulary_size, config.width)
        if config.positions == "learned":
            # Positions start one after the pad's row, which is `pad_id`: 1,002 rows for 1,000.
            self.positions = empty_table(config.max_tokens + config.pad_id + 1, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = LayerNorm(config.width, eps=config.layer_norm_eps)
        self.head = MaskedLanguageHead(config)

    def forward(
        self, tokens: Tensor, selected: Tensor | None = None, *, padded: bool = True
    ) -> Output:
        """Return the logits and the hidden states of all layers for `tokens` int64[B, T].

        With `selected` int64[B, S] the head runs at these positions only, and so does the last
        block but for its keys and values: most of what pre-training saves. `padded=False` promises
        that no token is a pad, so that attention needs no mask and may use its fastest kernel.
        Raises `InputError` when T exceeds `max_tokens`.
        """
        states = tuple(self._compute_each_state(tokens, padded, selected))
        logits = self.head(states[-1])
        if padded and selected is None:
            logits = logits.masked_fill((tokens == self.config.pad_id).unsqueeze(-1), 0.0)
        return Output(logits, states)

    def compute_states(
        self, tokens: Tensor, layers: Collection[int], *, padded: bool = True
    ) -> dict[int, Tensor]:
        """Return the hidden states {layer: [B, T, D]} of `layers` within 0 … L.

        Layers 1 … L − 1 are the raw residual stream, layer L has passed the final LayerNorm. Blocks
        behind the deepest layer are not computed. Raises `InputError` for a layer outside 0 … L.
        """
        return dict(self.compute_states_in_turn(tokens, layers, padded=padded))

    def compute_states_in_turn(
        self, tokens: Tensor, layers: Collection[int], *, padded: bool = True
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the layers and states of `compute_states` in turn: one at a time is in memory."""
        wrong = sorted(layer for layer in layers if not 0 <= layer <= self.config.layers)
        if wrong:
            raise InputError(
                f"Layer {wrong[0]} was asked for, but the model has layers 0 to "
                f"{self.config.layers}; name layers in this range."
            )
        needed = islice(self._compute_each_state(tokens, padded), max(layers, default=-1) + 1)
        return ((layer, states) for layer, states in enumerate(needed) if layer in layers)

    def _compute_each_state(
        self, tokens: Tensor, padded: bool, selected: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the hidden states of layers 0, 1, … L, lazily: no block runs before its state.

        Of layer L, only the `selected` positions. Raises `InputError` when T exceeds `max_tokens`.
        """
        config = self.config
        if tokens.shape[1] > config.max_tokens:
            raise InputError(
                f"A sequence has {tokens.shape[1]} tokens with <cls>, but the model takes at most "
                f"{config.max_tokens}; shorten the sequences or choose another model."
            )
        real = tokens != config.pad_id
        # Only keys are masked: a pad's query changes the pad's own row and nothing else.
        bias = torch.where(real, 0.0, PAD_BIAS)[:, None, None, :] if padded else None
        rotary = None
        if config.positions == "rotary":
            rotary = rotary_table(tokens.shape[1], config.width // config.heads, tokens.device)
        x = self._embed(tokens, real)
        x = x if self.residual is None else x.to(self.residual)
        for number, block in enumerate(self.blocks, start=1):
            yield x
            x = block(x, bias, rotary, selected if number == config.layers else None)
        yield self.norm(x)

    def _embed(self, tokens: Tensor, real: Tensor) -> Tensor:
        x = self.tokens(tokens)
        if self.config.token_dropout is not None:
            x = self._drop_masks(x, tokens == self.config.mask_id, real)
        if self.config.positions == "learned":
            # Counting real tokens, not columns: pads take row `pad_id`, the first token the next.
            x = x + self.positions(real.cumsum(1) * real + self.config.pad_id)
        return x

    def _drop_masks(self, x: Tensor, masked: Tensor, real: Tensor) -> Tensor:
        """Return token dropout of ESM: `<mask>` rows zeroed, all rescaled by (1 − r)/(1 − m).

        At inference too. r is the expected share of masks, m that of this sequence's real tokens.
        """
        count = real.sum(1)
        kept = (count - masked.sum(1)).clamp(min=1)  # a sequence of only masks or pads stays 0
        scale = (1.0 - self.config.token_dropout) * count / kept
        return (x * (scale[:, None] * ~masked).unsqueeze(-1)).type_as(x)  # one pass over x


class Block(nn.Module):
    """Pre-LayerNorm block: x + attention(LayerNorm(x)), then x + feed_forward(LayerNorm(x)).

    With `selected` [B, S] only these positions of it, [B, S, D].
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(config.width, eps=config.layer_norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = LayerNorm(config.width, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None,
        rotary: Tensor | None,
        selected: Tensor | None = None,
    ) -> Tensor:
        mixed = self.attention(self.attention_norm(x), bias, rotary, selected)
        if selected is not None:
            x = pick(x, selected)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Attention(nn.Module):
    """Multi-head attention softmax(q·k/√(D/H) + bias)·v; queries of all or the selected tokens."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = Linear(config.width, config.width)
        self.key = Linear(config.width, config.width)
        self.value = Linear(config.width, config.width)
        self.output = Linear(config.width, config.width)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None,
        rotary: Tensor | None,
        selected: Tensor | None = None,
    ) -> Tensor:
        queried = x if selected is None else pick(x, selected)
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, T, D/H]
            for projection, states in ((self.query, queried), (self.key, x), (self.value, x))
        )
        if rotary is not None:
            turns = rotary if selected is None else rotary[:, selected].unsqueeze(2)
            query, key = rotate(query, turns), rotate(key, rotary)
        if bias is not None:
            bias = bias.to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.output(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Feed-forward: v1 output(GELU(input(x))); v2 SwiGLU, output(swish(a)·b), [a, b] = input(x)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.gated = config.feed_forward == "swiglu"
        inner = 2 * config.ffn_width if self.gated else config.ffn_width
        self.input = Linear(config.width, inner, bias=config.ffn_bias)
        self.output = Linear(config.ffn_width, config.width, bias=config.ffn_bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.gated:
            gate, value = self.input(x).chunk(2, dim=-1)
            return self.output(functional.silu(gate) * value)
        return self.output(self.input.gelu(x))


class LayerNorm(nn.LayerNorm):
    """LayerNorm in float32 where its input is, also with the bf16 weights of a sharded block."""

    def forward(self, x: Tensor) -> Tensor:
        kind = torch.promote_types(x.dtype, self.weight.dtype)
        weight, bias = self.weight.to(kind), self.bias.to(kind)
        return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class MaskedLanguageHead(nn.Module):
    """Linear, GELU, LayerNorm, Linear to the vocabulary; its input has passed `Encoder.norm`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width)
        self.norm = LayerNorm(config.width, eps=config.layer_norm_eps)
        self.decoder = Linear(config.width, config.vocabulary_size)

    def forward(self, states: Tensor) -> Tensor:
        return self.decoder(self.norm(self.dense.gelu(states)))


def empty_table(rows: int, width: int) -> nn.Embedding:
    """Return a trainable table of zeros.

    `nn.Embedding` alone would draw its rows, which on the meta device loads half of torch first.
    """
    return nn.Embedding.from_pretrained(torch.zeros(rows, width), freeze=False)


def pick(x: Tensor, selected: Tensor) -> Tensor:
    """Return the positions `selected` [B, S] of x [B, T, D], as [B, S, D]."""
    return x.gather(1, selected.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def rotary_table(tokens: int, head_width: int, device: torch.device) -> Tensor:
    """Return rotary cosines and sines of position · base^(−2i/h), float32[2, T, h/2], h head width.

    Positions count from 0 at `<cls>`. Made anew in each pass: it costs next to nothing, and a
    module without buffers can be built on the meta device.
    """
    exponents = torch.arange(0, head_width, 2, device=device, dtype=torch.float32) / head_width
    positions = torch.arange(tokens, device=device, dtype=torch.float32)
    angles = positions[:, None] / ROTARY_BASE**exponents
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Return x [B, H, T, h] rotated by a table [2, T, h/2] or [2, B, 1, T, h/2].

    Dimension i pairs with i + h/2, as in RoFormer's later form (GPT-NeoX), not with i + 1.
    """
    cosine, sine = table
    # Rounded numbers times float32 ones are float32 anyway; on a CPU they take over twice as long.
    wide = x.to(table.dtype) if x.device.type == "cpu" else x
    first, second = wide.chunk(2, dim=-1)
    parts = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat(parts, dim=-1).type_as(x)
