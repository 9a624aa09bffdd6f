"""The masked-language-model objective: cross-entropy, accuracy, and their sums by kind.

Shape letters: B sequences, K selected tokens per sequence, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnalm.training.batches import MicroBatch
from dnalm.training.masking import Kind

COLUMNS = ("loss", "accuracy", "count")


def score(model: nn.Module, batch: MicroBatch) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy in nats, float32[B, K], and hits, bool[B, K], of every slot.

    The head runs on the selected positions only. Slots of weight 0 hold numbers without meaning.
    """
    logits = model(batch.inputs, batch.positions, padded=batch.padded).logits.float()
    losses = functional.cross_entropy(
        logits.flatten(0, 1), batch.targets.flatten(), reduction="none"
    )
    with torch.no_grad():
        hits = logits.argmax(-1) == batch.targets
    return losses.view_as(batch.targets), hits


def tally(losses: Tensor, hits: Tensor, batch: MicroBatch) -> Tensor:
    """Return the sums of loss, hits and weights for each `Kind`, float64[3, 3]."""
    # Compared, because `one_hot` looks at the values, for which a host waits on some devices.
    every = torch.arange(len(Kind), device=losses.device)
    kinds = (batch.kinds.flatten().unsqueeze(1) == every).float()
    weighted = kinds * batch.weights.view(-1, 1)
    ones = torch.ones_like(losses)
    values = torch.stack([losses.detach(), hits.float(), ones]).flatten(1)
    # In float64, so that the counts of a long stretch stay whole numbers.
    return weighted.double().T @ values.double().T


def describe(totals: Tensor, prefix: str = "") -> dict[str, float | None]:
    """Return loss (nats) and accuracy over all selected tokens and per kind, from summed tallies.

    Keys: loss, accuracy, loss_mask, accuracy_mask, …_random, …_kept, each after `prefix`. None
    where no token was selected.
    """
    parts = {"": totals.sum(0), **{f"_{kind.name.lower()}": totals[kind] for kind in Kind}}
    described = {}
    for name, part in parts.items():
        loss, hits, count = part.tolist()
        described[f"{prefix}loss{name}"] = loss / count if count else None
        described[f"{prefix}accuracy{name}"] = hits / count if count else None
    return described
