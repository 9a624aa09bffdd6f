"""How much memory DeepSEA's files take to read, measured at a small size and carried to theirs."""

import tracemalloc

import h5py
import numpy as np
from scipy.io import savemat

from dnalm.benchmark.tasks import deepsea_files
from dnalm.benchmark.tasks.deepsea_files import BLOCK_BYTES, read_profiles

BASES, PROFILES = 1000, 919
TEST_ROWS = 455_024  # of test.mat, both strands
GIGABYTE = 10**9


def draw(rows):
    """Return both strands of random DNA uint8 [2 N, 4, L], and labels uint8 [2 N, C], mostly 0."""
    random = np.random.default_rng(1)
    forward = np.eye(4, dtype=np.uint8)[random.choice(4, (rows, BASES), p=[0.4, 0.1, 0.1, 0.4])]
    bases = forward.transpose(0, 2, 1)
    labels = (random.random((rows, PROFILES)) < 0.02).astype(np.uint8)
    return np.concatenate([bases, bases[:, ::-1, ::-1]]), np.concatenate([labels, labels])


def measure(path):
    """Return the peak of all arrays and texts while a file is read, and what is left, in bytes."""
    tracemalloc.start()
    rows = read_profiles(path)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows.sequences) == len(rows.profiles)
    return peak, kept


def test_train_is_read_in_blocks_that_take_less_than_a_gigabyte_beside_its_rows(
    tmp_path, monkeypatch
):
    bases, labels = draw(1500)
    with h5py.File(tmp_path / "train.mat", "w") as file:
        for name, data in (("trainxdata", bases.transpose(2, 1, 0)), ("traindata", labels.T)):
            file.create_dataset(name, data=data, compression="lzf")
    beside = {}
    for block in (1 << 19, 1 << 21):
        monkeypatch.setattr(deepsea_files, "BLOCK_BYTES", block)
        peak, kept = measure(tmp_path / "train.mat")
        beside[block] = peak - kept
    slope = (beside[1 << 21] - beside[1 << 19]) / ((1 << 21) - (1 << 19))
    assert slope > 1  # a block is in memory, so that what is measured grows with it
    assert slope * BLOCK_BYTES < GIGABYTE


def test_test_mat_takes_less_than_four_gigabytes_while_it_is_read(tmp_path):
    """Carried to all rows: scipy holds the 1.82 GB of its bases twice, as read and as an array."""
    peaks = {}
    for rows in (500, 1500):
        bases, labels = draw(rows)
        savemat(tmp_path / "test.mat", {"testxdata": bases, "testdata": labels})
        peaks[2 * rows], _ = measure(tmp_path / "test.mat")
    of_a_row = (peaks[3000] - peaks[1000]) / 2000
    assert of_a_row > 4 * BASES
    assert TEST_ROWS * of_a_row < 4 * GIGABYTE
