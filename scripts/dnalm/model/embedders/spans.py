"""Pooling of token states by the bases that each token covers.

Shapes: L layers, T tokens, D width.
"""

import numpy as np
import torch
from torch import Tensor

from dnalm.errors import InputError
from dnalm.model.embedders.contract import NO_BASE
from dnalm.model.heads import Pooling


def pool_spans(
    states: Tensor, spans: np.ndarray, sequence: str, pooling: Pooling, centre_bases: int
) -> Tensor:
    """Return the pooled states of a sequence, float32 [L, D], from states [L, T, D]."""
    weights = torch.from_numpy(weigh_spans(spans, sequence, pooling, centre_bases))
    with torch.autocast(states.device.type, enabled=False):
        return torch.einsum("ltd,t->ld", states.float(), weights.to(states.device))


def weigh_spans(
    spans: np.ndarray, sequence: str, pooling: Pooling, centre_bases: int
) -> np.ndarray:
    """Return the pooling weights of a sequence's tokens, float32 [T], which sum to 1.

    The rule is that of `dnalm.model.heads.pooling_weights`, by `spans` in the place of token ids: a
    token counts if it covers a base that is no N, all that count weigh the same. `cls` takes the
    first token. Raises InputError where that one covers bases.
    """
    has_bases = spans[:, 0] != NO_BASE
    if pooling == "cls":
        if not len(spans) or has_bases[0]:
            raise InputError(
                "embed.pooling is cls, but the first token of this model covers bases: set it to"
                " mean or centre."
            )
        return np.eye(1, len(spans), dtype=np.float32)[0]
    chosen = has_bases
    if pooling == "centre":
        first = max(0, len(sequence) - centre_bases) // 2
        chosen = has_bases & (spans[:, 0] < first + centre_bases) & (spans[:, 1] > first)
    is_base = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8) != ord("N")
    before = np.concatenate([[0], is_base.cumsum()])
    known = chosen & (before[spans[:, 1]] > before[spans[:, 0]])
    chosen = known if known.any() else chosen
    return chosen.astype(np.float32) / np.float32(max(1, chosen.sum()))
