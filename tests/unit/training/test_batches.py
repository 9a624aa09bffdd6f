import threading

import pytest
import torch

from dnalm.training.batches import Batches
from dnalm.training.settings import Run


@pytest.fixture
def make_batches(corpus, vocabulary, make_job):
    def make(rank, size, *, micro_batch, sequences=10, min_kmers=8):
        def change(run, operation):
            run["pretrain"] |= {"batch_sequences": sequences, "min_kmers": min_kmers}

        config = Run.read(make_job(change).folder / "run.json").pretrain
        return Batches(
            corpus.windows(), config, vocabulary, micro_batch=micro_batch, rank=rank, size=size
        )

    return make


def rows_that_count(batches, step):
    """Return {global row: its inputs} of one process, rows of weight 0 left out."""
    batch = batches.make(step)
    rows = {}
    for index, part in enumerate(batch.parts):
        for row in range(len(part.inputs)):
            if part.weights[row].any():
                sample = batches.sample(step, index, row)
                assert sample not in rows
                rows[sample] = part.inputs[row].tolist()
    return rows


@pytest.mark.parametrize(("size", "micro_batch"), [(2, 6), (3, 6), (3, 2), (4, 1), (16, 4)])
def test_processes_share_out_the_batch_of_one_process(make_batches, size, micro_batch):
    (alone,) = [rows_that_count(make_batches(0, 1, micro_batch=16), 3)]
    assert sorted(alone) == list(range(30, 40))
    ranks = [make_batches(rank, size, micro_batch=micro_batch) for rank in range(size)]
    together = {}
    for batches in ranks:
        part = rows_that_count(batches, 3)
        assert not part.keys() & together.keys()
        together |= part
    assert together == alone
    assert len({(batches.passes, batches.rows) for batches in ranks}) == 1
    assert ranks[0].rows <= micro_batch
    weights = [batches.make(3).weight for batches in ranks]
    assert sum(weights) == make_batches(0, 1, micro_batch=16).make(3).weight


def test_rows_are_dealt_in_global_order_and_the_last_pass_is_filled_up(make_batches):
    ranks = [make_batches(rank, 3, micro_batch=2) for rank in range(3)]
    dealt = [sorted(rows_that_count(batches, 0)) for batches in ranks]
    assert dealt == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5]]
    filler = ranks[2].make(0).parts[1]
    assert filler.inputs.shape == ranks[0].make(0).parts[1].inputs.shape
    assert not filler.weights.any()


def test_windows_with_too_few_kmers_are_counted_once(make_batches, corpus):
    windows = corpus.windows()
    samples = range(3 * windows.windows)
    tokens = windows.draw(list(samples))
    kmers = ((tokens >= 6) & (tokens < 6 + 64)).sum(1)
    expected = int((kmers < 30).sum())
    assert expected > 0
    steps = range(len(samples) // 10)
    for size in (1, 3):
        ranks = [make_batches(rank, size, micro_batch=4, min_kmers=30) for rank in range(size)]
        counted = sum(batches.make(step).thin for batches in ranks for step in steps)
        assert counted == int((kmers[: 10 * len(steps)] < 30).sum())


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_made_ahead_are_those_made_one_by_one(make_batches, workers):
    batches = make_batches(0, 1, micro_batch=5)
    ahead = list(batches.ahead(range(4, 15), workers=workers, pin=False))
    assert [batch.step for batch in ahead] == list(range(4, 15))
    for batch in ahead:
        expected = batches.make(batch.step)
        for part, wanted in zip(batch.parts, expected.parts, strict=True):
            assert torch.equal(part.inputs, wanted.inputs)
            assert torch.equal(part.positions, wanted.positions)


def test_closing_ends_the_threads(make_batches):
    ahead = make_batches(0, 1, micro_batch=5).ahead(range(10**6), workers=2, pin=False)
    next(ahead)
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]
