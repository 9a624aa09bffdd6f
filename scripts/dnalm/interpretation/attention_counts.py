"""How often attention exceeds a threshold, per layer, head and token, without a whole matrix.

The fused kernels give no weights, so that they are computed once more from queries and keys, a
block of queries at a time: at 1,000 tokens and 640 heads whole matrices would take 2.6 GB for one
sequence, a block of 64 queries of one layer 5 MB. What is kept of a sequence is how often each
token received and sent attention above each threshold: enough for any annotation.

Shape letters: B batch, T tokens, L layers, H heads, D width, M thresholds, Q queries of a block.
Layers count from 1; layer l is index l − 1. Head h of a layer are the rows h·D/H … of its query,
key and value projections. A weight counts where it is greater than the threshold, not equal.
"""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.model.encoder import PAD_BIAS, Encoder, rotary_table, rotate

QUERY_BLOCK = 64
MAX_TOKENS = torch.iinfo(torch.int16).max  # of a sequence, so that a count fits


@dataclass(frozen=True, kw_only=True)
class AttentionCounts:
    """Pairs of tokens whose attention exceeds each threshold, by key and by query.

    received: int16[B, M, L, H, T], of every key the queries that attend to it above the threshold.
    sent: int16[B, M, L, H, T], of every query the keys that it attends to above the threshold.

    Pairs with `<cls>` or a pad are not counted: their columns hold 0.
    """

    received: Tensor
    sent: Tensor


@torch.inference_mode()
def count_attention(
    encoder: Encoder, tokens: Tensor, thresholds: Sequence[float], *, padded: bool = True
) -> AttentionCounts:
    """Return how often attention exceeds the thresholds for `tokens` int64[B, T], `<cls>` first.

    With adapters in it, the encoder's own queries and keys are what they have become.
    `padded=False` promises that no token is a pad. Raises `InputError` for a threshold outside
    0 … 1 and for more tokens than can be counted.
    """
    for threshold in thresholds:
        if not 0 <= threshold < 1:
            raise InputError(
                f"attention.thresholds: {threshold:g} is no attention weight; give numbers from 0 "
                "to below 1."
            )
    if tokens.shape[1] > MAX_TOKENS:
        raise InputError(
            f"A sequence has {tokens.shape[1]} tokens, but attention is counted of at most "
            f"{MAX_TOKENS}; shorten the windows."
        )
    config, (rows, columns) = encoder.config, tokens.shape
    shape = (rows, len(thresholds), config.layers, config.heads, columns)
    counts = AttentionCounts(
        received=torch.zeros(shape, dtype=torch.int16, device=tokens.device),
        sent=torch.zeros(shape, dtype=torch.int16, device=tokens.device),
    )
    real = tokens != config.pad_id
    bias = torch.where(real, 0.0, PAD_BIAS)[:, None, None, :] if padded else None
    rotary = None
    if config.positions == "rotary":
        rotary = rotary_table(columns, config.width // config.heads, tokens.device)

    def count(layer: int, query: Tensor, key: Tensor) -> None:
        query, key = (
            projected.unflatten(-1, (config.heads, -1)).transpose(1, 2)  # [B, H, T, D/H]
            for projected in (query, key)
        )
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        # Copied once, or the product would copy the keys for every block of queries.
        query, key = query * query.shape[-1] ** -0.5, key.transpose(-1, -2).contiguous()
        received, sent = counts.received[:, :, layer], counts.sent[:, :, layer]
        for start in range(0, columns, QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            logits = query[:, :, block] @ key  # [B, H, Q, T]
            if bias is not None:
                logits = logits + bias.to(logits.dtype)
            weights = logits.float().softmax(-1)
            weights[..., 0] = 0.0  # <cls> as a key; as a query it is the first
            if start == 0:
                weights[..., 0, :] = 0.0
            if bias is not None:  # as a key a pad has no weight
                weights.masked_fill_(~real[:, None, block, None], 0.0)
            # 0 and 1 in float32: torch compares and sums these several times faster than bools.
            above = torch.empty_like(weights)
            for place, threshold in enumerate(thresholds):
                torch.gt(weights, threshold, out=above)
                received[:, place] += above.sum(2).to(torch.int16)
                sent[:, place, :, block] = above.sum(3)

    with _observed(encoder, count):
        encoder.compute_states(tokens, [config.layers], padded=padded)
    return counts


@contextmanager
def _observed(encoder: Encoder, observe):
    """Call `observe(layer, query, key)` with the projections [B, T, D] of every layer in turn."""
    with ExitStack() as hooks:
        for layer, block in enumerate(encoder.blocks):
            queries: list[Tensor] = []

            def keep(module: nn.Module, given: tuple, query: Tensor, kept=queries) -> None:
                kept.append(query)

            def take(
                module: nn.Module, given: tuple, key: Tensor, kept=queries, layer=layer
            ) -> None:
                observe(layer, kept.pop(), key)

            for module, hook in ((block.attention.query, keep), (block.attention.key, take)):
                hooks.callback(module.register_forward_hook(hook).remove)
        yield
