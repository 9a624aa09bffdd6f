"""Cosine similarity, dot product, L1 and L2 distance of the vectors of two alleles.

Sums are of float64: the vectors of two alleles are nearly equal, and what is told apart is the
difference. Shapes: A alleles, T tokens, D width.
"""

import torch
from torch import Tensor

MEASURES = ("cosine", "dot", "l1", "l2")


def compute_distances(reference: Tensor, alternative: Tensor) -> Tensor:
    """Return the measures of pairs of vectors [A, D], float64 [A, 4] in the order of `MEASURES`.

    The cosine of a vector that is 0 is 0, as in PyTorch.
    """
    one, other = reference.double(), alternative.double()
    difference = one - other
    dot = (one * other).sum(1)
    lengths = one.norm(dim=1) * other.norm(dim=1)
    cosine = dot / lengths.clamp(min=1e-300)
    return torch.stack([cosine, dot, difference.abs().sum(1), difference.norm(dim=1)], dim=1)
