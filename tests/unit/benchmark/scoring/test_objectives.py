"""Losses and outputs of every kind against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from dnalm.benchmark.scoring.objectives import (
    Scale,
    activate,
    balanced_weights,
    loss_of,
    sum_losses,
    weigh,
)
from dnalm.errors import InputError


def test_classes_have_the_cross_entropy_and_labels_that_of_each_by_itself():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    found = loss_of(logits, np.array([1, 0]), "binary")
    assert found.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 2)) / 2)
    found = loss_of(logits, np.array([[1, 1], [0, 0]]), "multilabel")
    assert found.item() == pytest.approx((3 * math.log(2) - math.log(3 / 4)) / 4)


def test_targets_have_the_mean_of_squares():
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    assert loss_of(logits, np.array([[1.0, 1.0], [0.0, 0.5]]), "regression") == 5.25 / 4


def test_bases_without_a_label_play_no_part_in_the_loss():
    logits = torch.zeros(2, 3, 4)
    logits[0, 2], logits[1, 1:] = 99.0, torch.tensor([0.0, 50.0, 0.0, 0.0])
    labels = np.array([[0, 3, -1, -1], [2, -1, -1, -1]])
    assert loss_of(logits, labels, "per_base").item() == pytest.approx(math.log(4))
    nothing = torch.zeros(1, 3, 4, requires_grad=True)
    loss = loss_of(nothing, np.full((1, 4), -1), "per_base")
    loss.backward()
    assert loss.item() == 0
    assert (nothing.grad == 0).all()


def test_probabilities_sum_to_one_over_classes_but_not_over_labels():
    logits = torch.tensor([[0.0, math.log(3)]])
    assert activate(logits, "multiclass").tolist()[0] == pytest.approx([1 / 4, 3 / 4])
    assert activate(logits[None], "per_base").tolist()[0][0] == pytest.approx([1 / 4, 3 / 4])
    assert activate(logits, "multilabel").tolist()[0] == pytest.approx([1 / 2, 3 / 4])
    assert activate(logits, "regression").tolist() == logits.double().tolist()


def test_standardised_targets_are_restored_and_their_scale_is_kept_in_a_file():
    random = np.random.default_rng(0)
    labels = random.normal(size=(50, 3)) * [1, 100, 0] + [0, 1000, 7]
    scale = Scale.of(labels)
    standard = scale.standardise(labels)
    assert standard.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert standard.std(axis=0) == pytest.approx([1, 1, 0])
    found = Scale.load(scale.state() | {"head.bias": torch.zeros(3)})
    np.testing.assert_allclose(found.restore(standard), labels, rtol=1e-12)
    assert found.restore(standard.astype(np.float32)).dtype == np.float64
    assert Scale.load({"head.bias": torch.zeros(3)}) is None


def test_a_constant_target_keeps_its_units_where_its_mean_is_rounded():
    labels = np.full((30, 1), 0.1)
    assert labels.std() > 0
    assert Scale.of(labels).deviation == 1
    np.testing.assert_allclose(Scale.of(labels).standardise(labels), 0, atol=1e-12)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, "multiclass", 3), expected, rtol=1e-6)
    bases = np.array([[0, 0, 1, -1], [0, 2, 2, -1]])
    np.testing.assert_allclose(balanced_weights(bases, "per_base", 3), expected, rtol=1e-6)
    flags = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    weights = balanced_weights(flags, "multilabel", 2)
    np.testing.assert_allclose(weights, [[4 / 6, 0.5], [2, 0]], rtol=1e-6)
    with pytest.raises(InputError, match="a regression has no classes"):
        balanced_weights(flags, "regression", 2)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "per_base"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_folds_side_by_side_are_those_of_each_and_parts_add_up(kind, weighted):
    generator = torch.Generator().manual_seed(0)
    bases = (7,) if kind == "per_base" else ()
    logits = torch.randn(3, 5, *bases, 4, generator=generator)
    classes = torch.randint(-1 if bases else 0, 4, (3, 5, *bases), generator=generator)
    flags = torch.randint(0, 2, logits.shape, generator=generator)
    numbers = torch.randn(logits.shape, generator=generator)
    given = {"multilabel": flags, "regression": numbers}.get(kind, classes)
    shape = (3, 2, 4) if kind == "multilabel" else (3, 4)
    weights = torch.rand(shape, generator=generator) if weighted else None
    below = weigh(given, kind, weights)
    parts = [
        sum_losses(logits[:, part], given[:, part], kind, weights) / below
        for part in (slice(0, 2), slice(2, 5))
    ]
    for fold in range(3):
        own = None if weights is None or kind == "regression" else weights[fold]
        alone = loss_of(logits[fold], given[fold].numpy(), kind, own)
        assert (parts[0] + parts[1])[fold].item() == pytest.approx(alone.item(), rel=1e-6)


def test_weighted_losses_are_weighted_means():
    logits, weights = torch.zeros(3, 2), torch.tensor([1.0, 3.0])
    logits[0, 0] = 2.0
    each = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1]), reduction="none")
    expected = (each[0] + 3 * each[1] + 3 * each[2]) / 7
    assert loss_of(logits, np.array([0, 1, 1]), "binary", weights).item() == pytest.approx(
        expected.item()
    )
    bases = loss_of(logits[None], np.array([[0, 1, -1]]), "per_base", weights)
    assert bases.item() == pytest.approx(((each[0] + 3 * each[1]) / 4).item())
    assert loss_of(logits[None], np.full((1, 3), -1), "per_base", weights) == 0
    flags = loss_of(logits[:1], np.array([[1, 0]]), "multilabel", torch.tensor([[1.0, 5], [3, 1]]))
    found = (3 * math.log(1 + math.exp(-2)) + 5 * math.log(2)) / 2
    assert flags.item() == pytest.approx(found, rel=1e-6)
