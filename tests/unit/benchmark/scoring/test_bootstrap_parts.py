"""Bootstrap of predictions of bases that stay in their files, against rows repeated as drawn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dnalm
from dnalm.benchmark.parquet import write_blocks, write_parquet
from dnalm.benchmark.scoring.bootstrap import BootstrapConfig, bootstrap, row_draws, subtract
from dnalm.benchmark.scoring.bootstrap_parts import bootstrap_parts, open_predictions
from dnalm.benchmark.scoring.metrics import single_score
from dnalm.benchmark.scoring.results import BasePredictions, prediction_rows
from dnalm.benchmark.scoring.stored_outputs import BLOCK_BASES
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError

KIND, ROWS, FOLDS, CLASSES = "per_base", 30, 2, 3
CONFIG = BootstrapConfig(draws=25, seed=3, level=0.9)


def plant(seed=0, noise=0.6):
    """Return a table of rows of unequal lengths, and outputs [R, L, C] of each fold."""
    random = np.random.default_rng(7)
    lengths = random.integers(5, 60, ROWS)
    labels = [random.choice([0, 1, 2, -1], n, p=[0.85, 0.05, 0.05, 0.05]) for n in lengths]
    test = pd.DataFrame({"id": [f"test.{row}" for row in range(ROWS)], "label": labels})
    padded = find_kind(KIND).stack(labels)
    random = np.random.default_rng(seed)
    truth = padded[..., None] == np.arange(CLASSES)
    outputs = noise * random.random((FOLDS, *padded.shape, CLASSES)) + 0.4 * truth
    return test, padded, (outputs / 2).astype(np.float32)


def write(path, test, outputs, blocks=True):
    kind = find_kind(KIND)
    if blocks:
        predictions = BasePredictions(test=test, outputs=dict(enumerate(outputs)), kind=kind)
        write_blocks(predictions.blocks(), path, {})
    else:  # one row group of all folds, rows in another order
        rows = [
            prediction_rows(test, fold, kind.decide(own), own) for fold, own in enumerate(outputs)
        ]
        write_parquet(pd.concat(rows).sample(frac=1, random_state=1), path, {})
    return path


def expected_of(labels, outputs, draws):
    def score(draw):
        rows = np.repeat(np.arange(len(labels)), draw.astype(int))
        folds = [
            single_score("top_k_accuracy", labels[rows], labels[rows], fold[rows], KIND)
            for fold in outputs
        ]
        return np.mean(folds)

    return np.array([score(draw) for draw in draws])


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("kept", [4, 0])
def test_draws_of_files_are_those_of_rows_repeated_as_often(tmp_path, monkeypatch, blocks, kept):
    """With nothing kept at first, what draws take is read again."""
    monkeypatch.setattr("dnalm.benchmark.scoring.stored_outputs.BLOCK_BASES", 200)
    monkeypatch.setattr("dnalm.benchmark.scoring.bootstrap_parts.KEPT", kept)
    methods, given = [], []
    for seed, noise in ((0, 0.6), (1, 1.0)):
        test, labels, outputs = plant(seed, noise)
        methods.append(write(tmp_path / f"{seed}.parquet", test, outputs, blocks))
        given.append(outputs)
    opened = [open_predictions(path, KIND) for path in methods]
    order = np.argsort(test["id"].to_numpy())
    assert opened[0].ids.tolist() == test["id"].to_numpy()[order].tolist()
    random = np.random.default_rng(9)
    few = np.arange(ROWS) == 4
    parts = [np.ones(ROWS, dtype=bool), random.random(ROWS) < 0.4, few]
    for part, drawn in zip(parts, bootstrap_parts(opened, parts, CONFIG), strict=True):
        rows = order[part]
        draws = np.concatenate(list(row_draws(len(rows), CONFIG)))
        for found, outputs in zip(drawn, given, strict=True):
            own = outputs[:, rows]
            expected = expected_of(labels[rows], own, draws)
            np.testing.assert_allclose(found.drawn, expected, rtol=0, atol=1e-12)
            assert found.score == pytest.approx(
                expected_of(labels[rows], own, np.ones((1, len(rows))))[0], abs=1e-12, nan_ok=True
            )
            assert found.rows == len(rows)
    whole = bootstrap_parts(opened, parts[:1], CONFIG)[0]
    assert subtract(*whole, 0.9).difference > 0
    assert whole[0].drawn.std() > 0.01


def test_methods_whose_labels_differ_and_files_without_a_row_are_refused(tmp_path):
    test, _, outputs = plant()
    first = open_predictions(write(tmp_path / "a.parquet", test, outputs), KIND)
    other = test.assign(label=[label[::-1].copy() for label in test["label"]])
    second = open_predictions(write(tmp_path / "b.parquet", other, outputs), KIND)
    part = np.ones(ROWS, dtype=bool)
    with pytest.raises(InputError, match="different test rows"):
        bootstrap_parts([first, second], [part], CONFIG)
    table = pd.read_parquet(tmp_path / "a.parquet")
    table[1:].to_parquet(tmp_path / "c.parquet")
    with pytest.raises(InputError, match="every fold predicts every test row once"):
        open_predictions(tmp_path / "c.parquet", KIND)


def test_parts_of_tasks_of_rows_are_drawn_as_their_rows_alone(tmp_path):
    table = pd.DataFrame({"id": [f"test.{row}" for row in range(40)], "fold": 0})
    table["label"], table["prediction"] = np.arange(40) % 2, np.arange(40) % 3 % 2
    table.to_parquet(tmp_path / "p.parquet")
    opened = open_predictions(tmp_path / "p.parquet", "binary")
    part = np.arange(40) < 30
    ((found,),) = bootstrap_parts([opened], [part], CONFIG)
    (expected,) = bootstrap([opened.select(part)], CONFIG)
    assert (found.drawn == expected.drawn).all()


MEASURED = """
import sys
from pathlib import Path
import numpy as np
import dnalm.benchmark.scoring.stored_outputs as stored_outputs
from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.benchmark.scoring.bootstrap_parts import bootstrap_parts, open_predictions
from dnalm.report.tables.test_rows.constant_predictions import constant_folds
from dnalm.report.tables.test_rows.curves import BaseSplit

block, *paths = sys.argv[1:]
stored_outputs.BLOCK_BASES = int(block)
methods = [open_predictions(path, "per_base") for path in paths]
rows = len(methods[0].ids)
parts = [np.ones(rows, dtype=bool), np.arange(rows) % 3 > 0]
for drawn in bootstrap_parts(methods, parts, BootstrapConfig(draws=20, seed=1, level=0.95)):
    assert len(drawn) == len(paths) and all(0 < one.score < 1 for one in drawn)
for method in methods:
    assert not constant_folds(method).any()
    split = BaseSplit(method, method.folds[0])
    assert split.confusion(3).sum() == split.rows
    assert split.curves(1).shape == split.curves(2).shape
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""
LENGTH = 5000


def write_large(path, rows, seed):
    """Write one fold of rows with SpliceAI's share of sites, block by block."""
    labels = np.random.default_rng(0)
    random = np.random.default_rng(seed)
    kind = find_kind(KIND)

    def blocks():
        for first in range(0, rows, 20):
            own = labels.choice(3, (20, LENGTH), p=[0.9996, 0.0002, 0.0002]).astype(np.int8)
            outputs = random.random((20, LENGTH, CLASSES), dtype=np.float32) * 0.5
            outputs += 0.3 * (own[..., None] == np.arange(CLASSES))
            test = pd.DataFrame({"id": [f"test.{first + row:06}" for row in range(20)]})
            test["label"] = list(own)
            yield prediction_rows(test, 0, kind.decide(outputs), outputs)

    write_blocks(blocks(), path, {})


def measure(paths, block):
    """Return the most memory of a process that makes all that the report says of these files."""
    place = {"PYTHONPATH": str(Path(dnalm.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURED, str(block), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | place
    )
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stdout.split()[-1])


def test_memory_hardly_grows_with_bases(tmp_path):
    peaks, sizes = [], (200, 1000)
    for rows in sizes:
        write_large(tmp_path / f"{rows}.parquet", rows, 1)
        peaks.append(measure([tmp_path / f"{rows}.parquet"], 1 << 16))
    of_a_base = (peaks[1] - peaks[0]) / ((sizes[1] - sizes[0]) * LENGTH)
    print(f"{of_a_base:.1f} bytes a base")
    assert of_a_base < 3  # of all of them 14 would lie in memory, and several times as many sorted


@pytest.mark.slow
def test_twenty_million_bases_of_three_methods_take_less_than_a_gigabyte(tmp_path):
    paths = [tmp_path / f"{seed}.parquet" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_large(path, 4000, seed)
    peak = measure(paths, BLOCK_BASES)
    print(f"{peak / 1e6:.0f} MB")
    assert peak < 10**9
