"""Whether an embedder's states of a sequence are the same alone, in a batch, and padded."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from dnalm.errors import InputError
from dnalm.model.embedders.contract import embed_checked
from dnalm.model.embedders.logits import compute_likelihoods, tokenize_checked

# Of the largest state of a layer: products of other shapes round otherwise, a pad that is attended
# to or counted changes states by much more.
TOLERANCES = {"float32": 1e-3, "tf32": 1e-2, "bf16": 1e-1}
log = logging.getLogger(__name__)


def check_agreement(
    embedder: Any, name: str, sequences: Sequence[str], rows: Sequence[str], precision: str
) -> float:
    """Return the largest difference of states, in parts of the largest state of the layer.

    Each sequence is embedded alone, beside itself (a batch without pads) and with all others,
    padded where lengths differ. Raises InputError, naming the row of `rows`, where a difference is
    above that of `TOLERANCES`.
    """
    worst, tolerance = 0.0, TOLERANCES[precision]
    padded = embed_checked(embedder, name, sequences, rows)
    for place, (sequence, row) in enumerate(zip(sequences, rows, strict=True)):
        alone, spans = embed_checked(embedder, name, [sequence], [row])[0]
        others = {
            "beside itself": embed_checked(embedder, name, [sequence] * 2, [row] * 2)[1],
            f"in a batch of {len(sequences)}": padded[place],
        }
        for where, (states, other_spans) in others.items():
            if not np.array_equal(spans, other_spans):
                raise InputError(
                    f"row {row}: {name} gives it {len(spans)} tokens alone and {len(other_spans)}"
                    f" {where}, or other spans: correct its embed."
                )
            difference, layer = _compare(alone, states)
            worst = max(worst, difference)
            if difference > tolerance:
                raise InputError(
                    f"row {row} ({len(sequence)} bases): {name} gives it other states {where} than"
                    f" alone: layer {layer} differs by {difference:.3g} of its largest state,"
                    f" allowed is {tolerance:g} in {precision}. Mask the pads, and leave no state"
                    " between calls."
                )
    log.info("%s: states alone and in batches differ by at most %.2g", name, worst)
    return worst


def check_logits(
    embedder: Any, name: str, sequences: Sequence[str], spans: Sequence[np.ndarray]
) -> None:
    """Raise InputError where an embedder's tokens, or its logits alone and in a batch, differ.

    `spans` are those of the states. The first token of bases of each sequence is masked.
    """
    tokens = tokenize_checked(embedder, name, sequences)
    for sequence, (_, own), other in zip(sequences, tokens, spans, strict=True):
        if not np.array_equal(own, other):
            raise InputError(
                f"{name} has other spans of a sequence of {len(sequence)} bases from tokenize than"
                " from embed: correct one of them."
            )
    masked = [[int(np.flatnonzero(own[:, 0] == 0)[0])] for _, own in tokens]
    together = compute_likelihoods(embedder, name, sequences, masked)
    for sequence, places, (ids, _), found in zip(sequences, masked, tokens, together, strict=True):
        alone = compute_likelihoods(embedder, name, [sequence], [places])[0]
        if len(alone) != len(ids) or alone.shape != found.shape:
            raise InputError(
                f"{name} has logits of {len(alone)} tokens of a sequence that makes {len(ids)}:"
                " give [tokens, vocabulary], without pads."
            )
        difference, _ = _compare(alone[None], found[None])
        if difference > TOLERANCES["float32"]:
            raise InputError(
                f"{name} gives a sequence of {len(sequence)} bases other logits in a batch of"
                f" {len(sequences)} than alone: they differ by {difference:.3g} of the largest."
                " Mask the pads."
            )


def _compare(alone: Tensor, other: Tensor) -> tuple[float, int]:
    """Return the largest relative difference of a layer, and which one, from 1 on."""
    if not alone.numel():
        return 0.0, 1
    largest = alone.abs().amax(dim=(1, 2)).clamp(min=1e-12)
    differences = (alone - other).abs().amax(dim=(1, 2)) / largest
    return float(differences.max()), int(differences.argmax()) + 1
