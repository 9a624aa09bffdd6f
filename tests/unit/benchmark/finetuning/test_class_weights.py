"""Weights of classes: what a label's 1 counts beside a 0, against torch's pos_weight."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from dnalm.benchmark.scoring.objectives import loss_of, weigh_classes
from dnalm.errors import InputError


def test_a_number_is_the_pos_weight_of_torch():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(20, 4, generator=random)
    labels = (torch.rand(20, 4, generator=random) < 0.1).numpy().astype(np.int8)
    weights = weigh_classes(8, labels, "multilabel", 4)
    peer = binary_cross_entropy_with_logits(
        logits, torch.from_numpy(labels).float(), pos_weight=torch.full((4,), 8.0)
    )
    torch.testing.assert_close(loss_of(logits, labels, "multilabel", weights), peer)


@pytest.mark.parametrize("kind", ["binary", "regression", "per_base"])
def test_a_number_is_refused_where_labels_are_no_flags(kind):
    with pytest.raises(InputError, match=f"class_weights is 8.*but a {kind} task has no such"):
        weigh_classes(8, np.zeros((4, 2)), kind, 2)
