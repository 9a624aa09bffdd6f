import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dnalm.parallel.distributed import Group
from dnalm.training import launch
from dnalm.training.batches import Batches, MicroBatch
from dnalm.training.evaluation import Evaluation
from dnalm.training.masking import Kind
from dnalm.training.objective import describe, score, tally
from dnalm.training.reconstruction import score_unigram
from dnalm.training.settings import Run


@pytest.fixture
def run(make_job):
    return Run.read(make_job().folder / "run.json")


@pytest.fixture
def part(corpus, run, vocabulary):
    batches = Batches(corpus.windows(), run.pretrain, vocabulary, micro_batch=6, rank=0, size=1)
    return batches.make(0).parts[0]


def test_losses_at_selected_positions_are_those_of_all_logits(run, part):
    encoder = launch.make_encoder(run, None).eval()
    with torch.no_grad():
        losses, hits = score(encoder, part)
        logits = encoder(part.inputs).logits.log_softmax(-1)
    for row in range(len(part.inputs)):
        for slot in range(part.positions.shape[1]):
            position, target = part.positions[row, slot], part.targets[row, slot]
            assert float(losses[row, slot]) == pytest.approx(
                -float(logits[row, position, target]), abs=1e-5
            )
            assert bool(hits[row, slot]) == (int(logits[row, position].argmax()) == target)


def test_pads_behind_a_short_sequence_change_no_loss(run, part, vocabulary):
    encoder = launch.make_encoder(run, None).eval()
    pads = torch.full((len(part.inputs), 3), vocabulary.pad)
    longer = replace(part, inputs=torch.cat([part.inputs[:, :-3], pads], dim=1), padded=True)
    shorter = replace(part, inputs=part.inputs[:, :-3])
    kept = (part.weights > 0) & (part.positions < shorter.inputs.shape[1])
    positions = torch.where(kept, part.positions, 0)
    with torch.no_grad():
        with_pads, _ = score(encoder, replace(longer, positions=positions))
        without, _ = score(encoder, replace(shorter, positions=positions))
        seen, _ = score(encoder, replace(longer, positions=positions, padded=False))
    assert torch.allclose(with_pads[kept], without[kept], atol=1e-5)
    assert not torch.allclose(seen[kept], without[kept], atol=1e-5)


def test_kinds_are_told_apart_and_slots_without_weight_left_out():
    kinds = torch.tensor([[Kind.MASK, Kind.MASK, Kind.RANDOM, Kind.KEPT]])
    weights = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    batch = MicroBatch(
        inputs=kinds, positions=kinds, targets=kinds, weights=weights, kinds=kinds, padded=False
    )
    totals = tally(
        torch.tensor([[1.0, 2.0, 6.0, 100.0]]), torch.tensor([[True, False, True, True]]), batch
    )
    assert describe(totals, "x_") == {
        "x_loss": 3.0,
        "x_accuracy": pytest.approx(2 / 3),
        "x_loss_mask": 1.5,
        "x_accuracy_mask": 0.5,
        "x_loss_random": 6.0,
        "x_accuracy_random": 1.0,
        "x_loss_kept": None,
        "x_accuracy_kept": None,
    }


def test_the_baseline_is_that_of_smoothed_kmer_frequencies(vocabulary):
    counts = np.zeros(64, dtype=np.int64)
    counts[3], counts[9] = 900, 32  # and one more for each of 64 k-mers and 4 bases: 1,000
    targets = vocabulary.kmer_offset + np.array([3, 3, 9, 0])
    targets = np.append(targets, vocabulary.base_offset + 1)
    expected = -(2 * math.log(0.901) + math.log(0.033) + 2 * math.log(0.001)) / 5
    losses, hits = score_unigram(targets, counts, vocabulary.kmer_offset, 68)
    assert losses.mean() == pytest.approx(expected, rel=1e-12)
    assert hits.tolist() == [True, True, False, False, False]


def evaluate(corpus, run, vocabulary, encoder, *, split, file=None, size=6, genomes=("g",)):
    windows = np.load(corpus.folder / f"{file or split}.npy")
    genomes = np.resize(genomes, len(windows))
    counts = np.load(corpus.folder / "kmer_counts.npy")
    options = {"split": split, "micro_batch": size, "group": Group(None)}
    evaluation = Evaluation(windows, genomes, counts, run.pretrain, vocabulary, **options)
    measured = evaluation.measure(encoder)
    return measured | flat(measured.pop(f"{split}_genomes"))


def flat(genomes):
    return {f"{name}/{key}": value for name, row in genomes.items() for key, value in row.items()}


def test_evaluation_does_not_depend_on_its_batches_and_changes_nothing(corpus, run, vocabulary):
    encoder = launch.make_encoder(run, None).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    genomes = ("one", "other", "other")
    measured = [
        evaluate(corpus, run, vocabulary, encoder, split="validation", size=size, genomes=genomes)
        for size in (1, 4, 1000)
    ]
    assert measured[1] == pytest.approx(measured[0], abs=1e-5)
    assert measured[2] == pytest.approx(measured[0], abs=1e-5)
    assert encoder.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_the_test_windows_are_scored_under_masks_of_their_own(corpus, run, vocabulary):
    encoder = launch.make_encoder(run, None)
    own = evaluate(corpus, run, vocabulary, encoder, split="test")
    assert own["g/loss"] == pytest.approx(own["test_loss_mask"], rel=1e-6)
    same = evaluate(corpus, run, vocabulary, encoder, split="validation", file="test")
    assert {key.removeprefix("test_") for key in own} == {
        key.removeprefix("validation_") for key in same
    }
    assert own["test_loss_mask"] == pytest.approx(same["validation_loss_mask"], abs=0.5)
    assert own["test_loss_mask"] != same["validation_loss_mask"]
