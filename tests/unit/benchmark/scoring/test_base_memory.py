"""Memory of a task of bases, measured at small sizes and carried to SpliceAI's 82 million bases.

Measured is the greatest resident memory of a process that trains a network, or fits position
weights, predicts the test rows, scores them and writes the results: with the task's table, its
labels, its tokens or codes, and all that scores take.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import dnalm
from dnalm.benchmark.finetuning.classifier import OUTPUTS, Fold
from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.scoring.results import BasePredictions, prediction_arrays
from dnalm.benchmark.scoring.stored_outputs import StoredOutputs, decide
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.table import write_task

TEST_BASES = 82_000_000
LIMIT = 2 * 10**9
LENGTH, TRAIN = 5000, 4
KIND = "per_base"

MEASURED = """
import json, os, sys
from pathlib import Path
import dnalm.benchmark.scoring.stored_outputs as stored_outputs
from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.probing.task_baselines import score_base_baselines, write_baselines
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import read_json
import dnalm.genome.token_loops, pyarrow.dataset, pyarrow.parquet  # loaded where they are used

stored_outputs.BLOCK_BASES = 1 << 16  # else most of the smaller task would be one block


def make(table, task, folder, files, what):
    partial = folder / "partial"
    if what == "position_weights":
        config = {"position_weights": {"flanks": [2, 4]}}
        found = score_base_baselines(list(config), config, read_task(table), "per_base", partial)
        write_baselines(
            found, task, table, scores=[files["scores"]], summaries=[files["summary"]],
            predictions=[files["predictions"]], partial=partial,
        )
        return
    settings = {
        "network": {"filters": 2, "context": 80}, "adapter": "full", "options": {}, "steps": 1,
        "batch_size": 1, "learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 0,
        "evaluate_every": 1, "keep": "best", "patience": None, "head": "linear", "bins":
        {"number": 50, "edges": "centres"}, "class_weights": "none", "precision": "float32",
        "optimizer": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}, "gradient_clip": None,
        "save": "trained", "seed": 1,
    }
    embed = {"centre_bases": 6, "batch_tokens": 6000}
    finetuning = Finetuning.of_network("spliceai_80", table, task, settings, embed)
    operation = Operation(
        folds_together=False, micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None
    )
    folds = finetune(finetuning, operation=operation, partial=partial, threads=1)
    identity = identify(method="baseline", baseline="spliceai_80", task=task, table_path=table)
    write_finetuning(
        folds, finetuning, identity, {}, trained=folder / "t.safetensors",
        history=folder / "h.tsv", partial=partial, **files,
    )


names = {"scores": "s.tsv", "summary": "s.json", "predictions": "p.parquet"}
for table, summary, folder, what in json.loads(sys.argv[1]):
    # Each in a process of its own, which has loaded what it needs and made nothing yet.
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        continue
    folder, task = Path(folder), read_json(summary)
    make(table, task, folder, {key: folder / name for key, name in names.items()}, what)
    assert not (folder / "partial").exists()
    status = Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0], flush=True)
    os._exit(0)
"""


def run(script, *arguments):
    """Return the finished process of a script with our library."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    place = {"PYTHONPATH": str(Path(dnalm.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | place
    )


def make_task(folder, rows):
    """Write a task of bases with `TRAIN` training rows and so many test rows."""
    random = np.random.default_rng(rows)
    letters = random.choice(np.frombuffer(b"ACGT", np.uint8), (TRAIN + rows, LENGTH))
    labels = random.choice(3, letters.shape, p=[0.998, 0.001, 0.001]).astype(np.int8)
    split = ["train"] * TRAIN + ["test"] * rows
    table = pd.DataFrame(
        {
            "id": [f"row.{row}" for row in range(len(split))],
            "sequence": [row.tobytes().decode() for row in letters],
            "label": list(labels),
            "split": split,
            "provenance": "drawn",
            "folds": [[row % 2] for row in range(TRAIN)] + [[]] * rows,
        }
    )
    counts = {"train": TRAIN, "test": rows}
    summary = {"name": "own.sites", "kind": KIND, "classes": 3, "rows": counts}
    paths = str(folder / f"{rows}.parquet"), str(folder / f"{rows}.json")
    write_task(table, summary, *paths)
    return paths


SIZES, MEASURES = (100, 600), ("network", "position_weights")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return the most memory, in bytes, and the predictions of each measure, at both sizes."""
    folder, jobs = tmp_path_factory.mktemp("bases"), []
    tables = [make_task(folder, rows) for rows in SIZES]
    for what in MEASURES:
        for rows, paths in zip(SIZES, tables, strict=True):
            own = folder / f"{what}-{rows}"
            own.mkdir()
            jobs.append([*paths, str(own), what])
    done = run(MEASURED, json.dumps(jobs))
    assert done.returncode == 0, done.stderr
    peaks = [1024 * int(line) for line in done.stdout.split()]
    files = [Path(own) / "p.parquet" for _, _, own, _ in jobs]
    found = list(zip(peaks, files, strict=True))
    return {what: found[2 * place : 2 * place + 2] for place, what in enumerate(MEASURES)}


@pytest.mark.parametrize("what", MEASURES)
def test_82_million_bases_take_less_than_two_gigabytes(measured, what):
    peaks = []
    for rows, (peak, path) in zip(SIZES, measured[what], strict=True):
        file = pq.ParquetFile(path)
        assert file.metadata.num_rows == 2 * rows
        assert file.metadata.num_row_groups > 2
        peaks.append(peak)
    of_a_base = (peaks[1] - peaks[0]) / ((SIZES[1] - SIZES[0]) * LENGTH)
    print(f"{what}: {of_a_base:.1f} bytes a base")
    assert 1 < of_a_base < LIMIT / TEST_BASES


@pytest.fixture
def outputs():
    """Outputs of 7 rows of at most 9 bases in 3 classes, and their labels."""
    random = np.random.default_rng(2)
    found = random.dirichlet([1, 1, 1], (7, 9)).astype(np.float32)
    return found, random.integers(-1, 3, (7, 9)).astype(np.int8)


def store(outputs, folder):
    stored = StoredOutputs.create(folder, outputs.shape)
    order = np.random.default_rng(3).permutation(len(outputs))
    for some in np.array_split(order, 3):
        stored.put(some, outputs[some])
    return stored


def test_outputs_in_a_file_score_and_are_written_as_those_in_memory(tmp_path, outputs, monkeypatch):
    monkeypatch.setattr("dnalm.benchmark.scoring.stored_outputs.BLOCK_BASES", 18)
    array, labels = outputs
    stored, kind = store(array, tmp_path), find_kind(KIND)
    assert (stored[2:5] == array[2:5]).all()
    assert list(tmp_path.iterdir()) == []  # a file without a name
    whole = score(labels, array.argmax(-1), array, KIND)
    assert score(labels, decide(stored, kind), stored, KIND) == whole
    lengths = [9, 8, 9, 3, 9, 1, 9]
    test = pd.DataFrame({"id": list("abcdefg")})
    test["label"] = [row[:length] for row, length in zip(labels, lengths, strict=True)]
    predictions = BasePredictions(test=test, outputs={0: stored, 4: array}, kind=kind)
    blocks = list(predictions.blocks())
    assert [len(block) for block in blocks] == [2, 2, 2, 1] * 2
    for _, own in predictions.frame().groupby("fold"):
        truth, predicted, probabilities = prediction_arrays(own, KIND)
        for row, length in enumerate(lengths):
            assert (truth[row, :length] == labels[row, :length]).all()
            assert (predicted[row, :length] == array[row, :length].argmax(-1)).all()
            assert (probabilities[row, :length] == array[row, :length]).all()


FACTS = dict.fromkeys(("step", "seconds", "peak_bytes", "trained", "parameters"), 1)
FACTS |= {"history": []}


def make_fold(outputs):
    return Fold(fold=3, tensors={}, outputs=outputs, **FACTS)


def test_a_fold_in_a_file_is_the_safetensors_file_of_one_in_memory(tmp_path, outputs, monkeypatch):
    monkeypatch.setattr("dnalm.model.tensors.BLOCK_NUMBERS", 60)
    array, _ = outputs
    path = tmp_path / "fold.safetensors"
    make_fold(store(array, tmp_path)).save(path)
    with safe_open(path, framework="np") as file:
        assert (file.get_tensor(OUTPUTS) == array).all()
    found = Fold.load(path)
    path.unlink()  # as the folder of finished folds goes before the results are written
    assert (found.outputs[0:7] == array).all()
    assert found.fold == 3


def test_a_file_of_outputs_that_was_cut_is_no_fold_and_leaves_no_rows(tmp_path, outputs):
    array, _ = outputs
    path = tmp_path / "fold.safetensors"
    make_fold(store(array, tmp_path)).save(path)
    found = Fold.load(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(OSError, match="ends before its last row"):
        found.outputs[6:7]
    with pytest.raises(Exception, match="incomplete"):
        Fold.load(path)


KILLED = """
import os, signal, sys
import numpy as np
from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.train import FOLD
from dnalm.benchmark.scoring.stored_outputs import StoredOutputs
from dnalm.jobs.partial import Partial
import dnalm.model.tensors as tensors

class Dying(StoredOutputs):
    def __getitem__(self, rows):
        if rows.start:
            print("half", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(rows)

tensors.BLOCK_NUMBERS = 60
outputs = Dying.create(sys.argv[1], (7, 9, 3))
outputs.put(np.arange(7), np.ones((7, 9, 3), dtype=np.float32))
facts = dict.fromkeys(("step", "seconds", "peak_bytes", "trained", "parameters"), 1)
facts["history"] = []
Partial(sys.argv[1], {}, FOLD).write("fold-00", Fold(fold=0, tensors={}, outputs=outputs, **facts))
"""


def test_a_job_killed_while_outputs_are_written_leaves_no_file_of_their_name(tmp_path):
    done = run(KILLED, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (-9, "half"), done.stderr
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert "fold-00.safetensors" not in left
    assert all(name.startswith(".") for name in left)


def test_folds_of_older_runs_are_read(tmp_path, outputs):
    """Files of `save_file`, in which outputs stand wherever it sorts them."""
    array, _ = outputs
    path = tmp_path / "fold.safetensors"
    tensors = {OUTPUTS: torch.from_numpy(array), "zero": torch.zeros(3), "a": torch.ones(2)}
    save_file(tensors, path, {"fold": "1", "facts": json.dumps(FACTS)})
    found = Fold.load(path)
    assert (found.outputs[0:7] == array).all()
    assert found.tensors.keys() == {"zero", "a"}
