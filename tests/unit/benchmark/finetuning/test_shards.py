"""Full fine-tuning by several processes, each with a shard of the encoder, beside that by one."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dnalm.benchmark.finetuning.ranks import check_visible
from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.scoring.stored_outputs import StoredOutputs
from dnalm.configuration.finetuning import resolve_method
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise
from dnalm.model.loading import load_model
from dnalm.model.weights import save_weights
from dnalm.parallel.distributed import Group

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
EMBED = {"pooling": "mean", "centre_bases": 6, "too_long": "refuse", "batch_tokens": 128}
OPERATION = Operation(
    folds_together=False,
    micro_batch=None,
    checkpoint_minutes=None,
    cpu_hours_limit=None,
    gpus=1,
)
PYTHON = sys.executable
# A loss of every step; five rows, which two processes cannot share evenly, and a bound that cuts.
SHORT = {
    "steps": 20,
    "evaluate_every": 1,
    "batch_size": 5,
    "learning_rate": 3e-3,
    "save": "trained",
}
SHORT |= {"gradient_clip": 0.2}
ROWS, TEST, FOLDS = 24, 9, 2


@pytest.fixture(autouse=True)
def _fork_ranks(monkeypatch, job_forks):
    """Let the other processes be forks of one that has imported torch."""
    monkeypatch.setattr(sys, "executable", str(job_forks.interpreter))


def write_model(folder: Path) -> dict[str, str]:
    """Write a random encoder of two layers, whose blocks drop out a tenth, for k = 2."""
    vocabulary = Vocabulary(2, "v1")
    config = EncoderConfig(
        positions="learned",
        feed_forward="gelu",
        ffn_bias=True,
        token_dropout=0.12,
        layers=2,
        heads=2,
        width=16,
        ffn_width=24,
        max_tokens=64,
        vocabulary_size=vocabulary.size,
        pad_id=vocabulary.pad,
        mask_id=vocabulary.mask,
        dropout=0.1,
        layer_norm_eps=1e-5,
        initialisation="haiku",
    )
    encoder = Encoder(config)
    initialise(encoder, 3)
    files = {"run": str(folder / "run.json"), "weights": str(folder / "weights.safetensors")}
    save_weights(encoder, files["weights"], {})
    facts = {"model": "small", "encoder": vars(config), "k": 2, "vocabulary": "v1"}
    Path(files["run"]).write_text(json.dumps(facts))
    return files


def label_of(sequence: str, kind: str) -> object:
    rich = int(sum(map(sequence.count, "CG")) > len(sequence) / 2)
    return {
        "binary": rich,
        "regression": [float(rich), float(len(sequence))],
        "per_base": [int(base in "CG") for base in sequence],
    }[kind]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a short full fine-tuning on rows of unequal length."""

    def of(kind: str = "binary", method: str = "full", **changes) -> Finetuning:
        random = np.random.default_rng(5)
        rows = [
            "".join(random.choice(list("ACGT"), random.integers(20, 90), p=shares))
            for shares in ([0.3, 0.2, 0.2, 0.3], [0.2, 0.3, 0.3, 0.2]) * ((ROWS + TEST) // 2 + 1)
        ][: ROWS + TEST]
        table = pd.DataFrame(
            {
                "id": [f"row.{i}" for i in range(len(rows))],
                "sequence": rows,
                "label": [label_of(row, kind) for row in rows],
                "split": ["train"] * ROWS + ["test"] * TEST,
                "provenance": "planted",
                "folds": [[f for f in range(FOLDS) if i // 2 % 4 == f] for i in range(len(rows))],
            }
        )
        files = write_model(tmp_path) | {"table": str(tmp_path / "task.parquet")}
        table.to_parquet(files["table"])
        settings = resolve_method(CONFIG, method) | SHORT | changes
        return Finetuning.of(files, {"kind": kind, "classes": 2}, {}, settings, EMBED)

    return of


def train(finetuning, folder, gpus, **operation):
    operation = replace(OPERATION, gpus=gpus, **operation)
    return finetune(finetuning, operation=operation, partial=folder, threads=1)


def assert_close(found, wanted):
    assert [one.fold for one in found] == [one.fold for one in wanted] == list(range(FOLDS))
    for one, other in zip(found, wanted, strict=True):
        losses = [[row["train_loss"] for row in fold.history] for fold in (one, other)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        scores = [pd.DataFrame(f.history).iloc[:, 2].tolist() for f in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert one.step == other.step
        assert one.trained == other.trained
        assert one.parameters == other.parameters
        # Of bases; what stands behind the end of a sequence, if anything, means nothing.
        known = (one.outputs[:] != 0) & (other.outputs[:] != 0)
        np.testing.assert_allclose(one.outputs[:][known], other.outputs[:][known], atol=1e-4)
        assert one.tensors.keys() == other.tensors.keys()
        for name, values in other.tensors.items():
            # Without a gradient but rounding, which Adam blows up to full steps.
            if not name.endswith("attention.key.bias"):
                torch.testing.assert_close(one.tensors[name], values, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("binary", {"class_weights": "balanced"}),
        ("regression", {"head": "bins", "steps": 4}),
    ],
)
def test_two_processes_give_what_one_does(make, tmp_path, kind, changes, caplog):
    finetuning = make(kind, **changes)
    with caplog.at_level(logging.INFO):
        found = train(finetuning, tmp_path / "two", 2)
    assert "2 processes share the encoder, in shards" in caplog.text
    wanted = train(finetuning, tmp_path / "one", 1)
    assert len(found[0].history) == finetuning.config.steps
    assert_close(found, wanted)
    # That weights have moved, so that equal ones say something.
    encoder, _ = load_model(finetuning.run, finetuning.weights)
    start = encoder.blocks[0].attention.query.weight
    assert (found[0].tensors["adapter.blocks.0.attention.query.weight"] - start).abs().max() > 1e-3
    assert "RANK" not in os.environ


def test_a_process_without_a_row_of_its_own_changes_nothing(make, tmp_path):
    finetuning = make("per_base", batch_size=2, steps=4)
    assert_close(train(finetuning, tmp_path / "3", 3), train(finetuning, tmp_path / "1", 1))


def test_rows_one_at_a_time_add_up(make, tmp_path):
    finetuning = make(steps=4)
    found = train(finetuning, tmp_path / "2", 2, micro_batch=1)
    assert_close(found, train(finetuning, tmp_path / "1", 1))


def test_all_processes_stop_early_and_keep_the_same_step(make, tmp_path):
    finetuning = make(patience=2, steps=100)
    found = train(finetuning, tmp_path / "two", 2)
    wanted = train(finetuning, tmp_path / "one", 1)
    assert all(len(fold.history) < 50 for fold in wanted)
    assert_close(found, wanted)


@pytest.mark.parametrize("kind", ["binary", "per_base"])
def test_what_is_written_is_what_one_process_writes(make, tmp_path, kind):
    finetuning = make(kind, steps=3)
    written = {}
    for gpus in (1, 2):
        folder = tmp_path / str(gpus)
        folds = train(finetuning, folder / "partial", gpus)
        task = {"name": "a.x", "kind": kind, "classes": 2, "rows": {}}
        names = {"method": "full", "model": "small", "weights_sha256": "c" * 64}
        identity = identify(task=task, table_path=finetuning.table, **names)
        paths = {"scores": "scores.tsv", "summary": "summary.json"}
        paths |= {"predictions": "predictions.parquet", "history": "history.tsv"}
        paths |= {"trained": "adapters.safetensors"}
        files = {name: folder / path for name, path in paths.items()}
        partial = folder / "partial"
        write_finetuning(folds, finetuning, identity, {}, partial=partial, **files)
        assert not partial.exists()
        written[gpus] = files
    rows = [pd.read_parquet(written[gpus]["predictions"]) for gpus in (1, 2)]
    assert [len(own) for own in rows] == [FOLDS * TEST] * 2
    pd.testing.assert_frame_equal(*rows, atol=1e-4, rtol=0)
    one, two = (load_file(written[gpus]["trained"]) for gpus in (1, 2))
    assert one.keys() == two.keys()
    assert all(two[name].shape == values.shape for name, values in one.items())


def test_outputs_of_bases_are_exchanged_by_the_batch_and_lie_in_files(make, tmp_path, monkeypatch):
    shapes, folders = [], []
    gather, create = Group.gather, StoredOutputs.create

    def gather_seen(group, row):
        shapes.append(tuple(row.shape))
        return gather(group, row)

    def create_seen(folder, shape):
        folders.append((folder, shape))
        return create(folder, shape)

    monkeypatch.setattr(Group, "gather", gather_seen)
    monkeypatch.setattr(StoredOutputs, "create", create_seen)
    finetuning = make("per_base", steps=2, evaluate_every=2)
    found = train(finetuning, tmp_path / "partial", 2)
    assert all(isinstance(fold.outputs, StoredOutputs) for fold in found)
    assert {folder for folder, _ in folders} == {tmp_path / "partial"}
    assert sum(shape[0] == TEST for _, shape in folders) == FOLDS
    # A batch of 128 tokens holds one or two of these rows for each of both processes.
    assert max(shape[0] for shape in shapes) < TEST // 2
    assert len(shapes) > 2 * FOLDS  # validation and test of each fold, which one exchange would do


def test_methods_with_a_frozen_encoder_use_one_process(make, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        train(make(method="ia3", steps=2), tmp_path / "partial", 2)
    assert "processes share" not in caplog.text


def test_a_loss_that_is_not_finite_ends_all_processes_with_one_sentence(make, tmp_path):
    with pytest.raises(InputError, match="the loss of fold 0 is nan at step 2"):
        train(make(learning_rate=1e30, gradient_clip=None), tmp_path / "partial", 2)


def test_fewer_gpus_than_processes_are_a_sentence():
    with pytest.raises(InputError, match="asks for 4 GPUs, but 2 are visible here"):
        check_visible(4, 2)
    check_visible(4, 4)


KILLED = """
import json, sys
from pathlib import Path
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning, Operation
if __name__ == "__main__":
    own, operation, partial = json.loads(Path(sys.argv[1]).read_text())
    finetuning = Finetuning(**own | {"config": FinetuneConfig(**own["config"])})
    finetune(finetuning, operation=Operation(**operation), partial=partial, threads=1)
"""


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_killed_job_goes_on_within_a_fold_and_leaves_no_process_behind(make, tmp_path):
    """The job that is killed, and what it starts, are interpreters of their own."""
    finetuning, partial = make(steps=12, evaluate_every=4), tmp_path / "partial"
    operation = asdict(replace(OPERATION, gpus=2, checkpoint_minutes=1e-6))
    arguments, script = tmp_path / "arguments.json", tmp_path / "job.py"
    arguments.write_text(json.dumps([asdict(finetuning), operation, str(partial)]))
    script.write_text(KILLED)
    library = Path(sys.modules["dnalm"].__file__).parents[1]
    process = subprocess.Popen(
        [PYTHON, script, arguments],
        env=os.environ | {"PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not list(partial.glob("*/*.running")) and time.monotonic() < deadline:
        time.sleep(0.01)
    helpers = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert helpers
    while any(map(is_there, helpers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_there, helpers))
    assert list(partial.glob("*/*.running"))
    again = shutil.copytree(partial, tmp_path / "again")
    whole = train(finetuning, tmp_path / "whole", 2)
    assert_close(train(finetuning, again, 1), whole)
    found = train(finetuning, partial, 2)
    assert_close(found, whole)
    for one, other in zip(found, whole, strict=True):
        assert one.outputs.tolist() == other.outputs.tolist()
