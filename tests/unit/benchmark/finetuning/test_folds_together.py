"""Folds that share one encoder are trained as each would be by itself."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from dnalm.benchmark.finetuning.checkpoints import Running
from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.fold_run import FoldRun
from dnalm.benchmark.finetuning.forecast import Speed, measure_speed, predict_seconds
from dnalm.benchmark.finetuning.learner import Learner, SingleLearner
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.stack import StackedLearner
from dnalm.benchmark.finetuning.train import finetune, train_fold, train_folds
from dnalm.benchmark.finetuning.training import Training
from dnalm.configuration.finetuning import resolve_method
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights

ROOT = Path(__file__).parents[4]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
EMBED = {"pooling": "mean", "centre_bases": 6, "too_long": "refuse", "batch_tokens": 512}
TOGETHER = Operation(
    folds_together=True, micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None, gpus=1
)
APART = replace(TOGETHER, folds_together=False)
FORMS = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "token_dropout": None,
    },
}
LORA = {"rank": 2, "alpha": 32, "dropout": 0.3, "targets": ["query", "value", "ffn_output"]}
SHORT = {"steps": 20, "evaluate_every": 5, "learning_rate": 3e-3}
FOLDS = [0, 1, 2]
ROWS, TEST = 60, 24


def write_model(folder: Path, form: str) -> dict[str, str]:
    """Write a random encoder of two layers, whose blocks drop out a tenth, for k = 2."""
    vocabulary = Vocabulary(2, form)
    config = EncoderConfig(
        **FORMS[form],
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
    facts = {"model": "small", "encoder": vars(config), "k": 2, "vocabulary": form}
    Path(files["run"]).write_text(json.dumps(facts))
    return files


def label_of(sequence: str, kind: str) -> object:
    rich = int(sum(map(sequence.count, "CG")) > len(sequence) / 2)
    return {
        "binary": rich,
        "multilabel": [rich, int(sequence.startswith("A"))],
        "regression": [float(rich), float(len(sequence))],
        "per_base": [int(base in "CG") for base in sequence],
    }[kind]


@pytest.fixture
def make(tmp_path):
    """Return a function: a shipped method, shortened, on rows of unequal length and folds."""

    def of(name: str, form: str = "v2", kind: str = "binary", **changes) -> Finetuning:
        random = np.random.default_rng(5)
        rows = [
            "".join(random.choice(list("ACGT"), random.integers(20, 90), p=shares))
            for shares in ([0.3, 0.2, 0.2, 0.3], [0.2, 0.3, 0.3, 0.2]) * ((ROWS + TEST) // 2)
        ]
        table = pd.DataFrame(
            {
                "id": [f"row.{i}" for i in range(len(rows))],
                "sequence": rows,
                "label": [label_of(row, kind) for row in rows],
                "split": ["train"] * ROWS + ["test"] * TEST,
                "provenance": "planted",
                # Validation rows overlap, and the last fold has fewer of them.
                "folds": [
                    [f for f in FOLDS if i < ROWS - 9 * f and i // 2 % (4 + f) == 1]
                    for i in range(len(rows))
                ],
            }
        )
        files = write_model(tmp_path, form) | {"table": str(tmp_path / "task.parquet")}
        table.to_parquet(files["table"])
        summary = {"kind": kind, "classes": 2}
        settings = resolve_method(CONFIG, name) | SHORT
        if settings["options"]:
            settings["options"] = LORA
        return Finetuning.of(files, summary, {}, settings | changes, EMBED)

    return of


def make_steps(learner: Learner, folds: list[int], steps: int) -> np.ndarray:
    """Return the losses [F, steps] of the first steps of folds."""
    learner.begin(folds, {})
    runs = [FoldRun(learner.data, fold) for fold in folds]
    losses = [
        learner.update([run.deal() for run in runs], step, runs[0].rate)
        for step in range(1, steps + 1)
    ]
    return torch.stack(losses, dim=1).numpy()


def assert_close(folds: list[Fold], expected: list[Fold]) -> None:
    for one, other in zip(folds, expected, strict=True):
        assert one.fold == other.fold
        assert one.step == other.step
        assert (one.trained, one.parameters) == (other.trained, other.parameters)
        found, wanted = pd.DataFrame(one.history), pd.DataFrame(other.history)
        pd.testing.assert_frame_equal(found, wanted, atol=1e-4, rtol=0)
        assert one.tensors.keys() == other.tensors.keys()
        np.testing.assert_allclose(one.outputs, other.outputs, atol=1e-4)


def assert_equal(folds: list[Fold], expected: list[Fold]) -> None:
    for one, other in zip(folds, expected, strict=True):
        assert one.fold == other.fold
        assert one.history == other.history
        assert one.step == other.step
        assert one.outputs.tolist() == other.outputs.tolist()
        assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in other.tensors)


@pytest.mark.parametrize("steps", [25, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["ia3", "lora", "head"])
def test_the_losses_of_many_steps_are_those_of_each_fold_alone(make, name, form, steps):
    finetuning = make(name, form, steps=steps)
    together = make_steps(StackedLearner(finetuning), FOLDS, steps)
    pair = make_steps(StackedLearner(finetuning), FOLDS[1:], steps)
    for fold in FOLDS:
        alone = make_steps(SingleLearner(finetuning), [fold], steps)[0]
        assert alone.std() > 0.01
        np.testing.assert_allclose(together[fold], alone, atol=1e-5)
        if fold:
            np.testing.assert_allclose(pair[fold - 1], alone, atol=1e-5)


def test_batches_heads_and_dropout_of_folds_differ(make):
    losses = make_steps(StackedLearner(make("lora")), FOLDS, 3)
    assert len(np.unique(losses)) == losses.size


@pytest.mark.parametrize("kind", ["multilabel", "regression", "per_base"])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_folds_of_every_kind_are_those_of_each_alone(make, kind, weights):
    if (kind, weights) == ("regression", "balanced"):
        return  # has no classes
    finetuning = make("ia3", kind=kind, steps=10, class_weights=weights, gradient_clip=0.05)
    assert_close(train_folds(finetuning, FOLDS), [train_fold(finetuning, fold) for fold in FOLDS])


def test_parts_of_a_batch_add_up(make):
    finetuning = make("lora", kind="per_base", class_weights="balanced", gradient_clip=0.5)
    whole, parts = (make_steps(StackedLearner(finetuning, rows), FOLDS, 20) for rows in (None, 3))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_a_fold_that_ends_early_leaves_the_batch(make):
    finetuning = make("lora", steps=60, evaluate_every=2, patience=2, learning_rate=1e-2)
    folds = train_folds(finetuning, FOLDS)
    assert len({len(fold.history) for fold in folds}) > 1
    assert_close(folds, [train_fold(finetuning, fold) for fold in FOLDS])


def test_no_step_makes_the_host_wait_for_a_number_of_the_device(make, host_reads):
    finetuning = make("lora", steps=4, evaluate_every=2, gradient_clip=1.0)
    with host_reads() as stacks:
        train_folds(finetuning, FOLDS)
    # Adam counts its steps in main memory, which is nothing to wait for.
    apart = {"load_model", "validate", "predict", "_single_tensor_adam"}
    assert not [stack[-8:] for stack in stacks if not apart & set(stack)]


def test_rows_of_one_length_need_no_mask(make, monkeypatch):
    finetuning = make("ia3", steps=2)
    table = pd.read_parquet(finetuning.table)
    table["sequence"] = table["sequence"].str[:20]
    table.to_parquet(finetuning.table)
    masks, attention = [], torch.nn.functional.scaled_dot_product_attention

    def watch(*states, attn_mask):
        masks.append(attn_mask)
        return attention(*states, attn_mask=attn_mask)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watch)
    train_folds(finetuning, FOLDS)
    assert masks
    assert all(mask is None for mask in masks)


def test_bf16_is_that_of_each_fold_alone_and_leaves_float32_behind(make):
    finetuning = make("ia3", "v1", precision="bf16", steps=10)
    folds = train_folds(finetuning, FOLDS)
    exact = train_folds(make("ia3", "v1", steps=10), FOLDS)
    for fold, other in zip(folds, exact, strict=True):
        alone = train_fold(finetuning, fold.fold)
        assert np.abs(fold.outputs - alone.outputs).max() < 0.02
        assert 0 < np.abs(fold.outputs - other.outputs).max() < 0.05
        assert all(values.dtype == torch.float32 for values in fold.tensors.values())


@pytest.mark.parametrize("form", FORMS)
def test_memory_of_a_pass_grows_with_the_folds_as_autograd_keeps_it(make, form):
    learner = StackedLearner(make("ia3", form))
    learner.begin(FOLDS, {})
    three = learner.count_saved_bytes()
    longest = max(int(learner.data.rows.lengths[p.split.training].max()) for p in learner.parts)
    numbers = three / 4 / (3 * longest * 2 * 16)  # a token, layer and unit of width
    assert 12 < numbers < 40  # 22 or so of a large model
    learner.begin(FOLDS[:1], {})
    assert learner.count_saved_bytes() == pytest.approx(three / 3, rel=0.25)


JOB = """
import json, os, signal, sys
from pathlib import Path
from dnalm.benchmark.finetuning.checkpoints import Running
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.finetuning.settings import Finetuning, Operation

def write_and_die(self, name, checkpoints, write=Running.write):
    write(self, name, checkpoints)
    if max(self.steps([0, 1, 2]).values()) >= 8:
        os.kill(os.getpid(), signal.SIGKILL)

Running.write = write_and_die
if __name__ == "__main__":
    files, summary, method, embed, operation, partial = json.loads(Path(sys.argv[1]).read_text())
    finetuning = Finetuning.of(files, summary, {}, method, embed)
    finetune(finetuning, operation=Operation(**operation), partial=partial, threads=1)
"""


@pytest.mark.parametrize("operation", [TOGETHER, APART], ids=["together", "apart"])
def test_a_killed_job_goes_on_in_the_middle_of_its_folds_bit_for_bit(
    make, operation, tmp_path, job_forks
):
    # Every step is kept; folds end at different evaluations.
    finetuning = make("lora", steps=60, evaluate_every=5, patience=2)
    always = replace(operation, checkpoint_minutes=0)
    files = {name: getattr(finetuning, name) for name in ("run", "weights", "table")}
    summary = {"kind": "binary", "classes": 2}
    given = [files, summary, asdict(finetuning.config), EMBED, asdict(always)]
    arguments, partial = tmp_path / "arguments.json", tmp_path / "partial"
    arguments.write_text(json.dumps([*given, str(partial)]))
    script = tmp_path / "job.py"
    script.write_text(JOB)
    library = Path(sys.modules["dnalm"].__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([job_forks.interpreter, script, arguments], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    steps = Running(partial, finetuning.facts()).steps(FOLDS)
    assert steps == dict.fromkeys(FOLDS if operation is TOGETHER else [0], 8)

    folds = finetune(finetuning, operation=operation, partial=partial, threads=1)
    assert not list(partial.glob("*/*.running"))
    assert len({len(fold.history) for fold in folds}) > 1
    assert_equal(
        folds, finetune(finetuning, operation=operation, partial=tmp_path / "o", threads=1)
    )


def stop_after(learner: Learner, folds: list[int], steps: int) -> dict:
    """Return the checkpoints of folds after so many steps, as a killed job leaves them."""
    found = {}

    def count(made: int) -> None:
        nonlocal steps
        steps -= made

    def keep(checkpoints) -> None:
        if steps <= 0 and not found:
            found.update(checkpoints)

    for _ in Training(learner, folds, {}, tick=count, save=keep, minutes=0):
        pass
    return found


def test_folds_at_different_steps_and_one_that_is_finished_go_on_together(make, tmp_path, caplog):
    finetuning, partial = make("ia3"), tmp_path / "partial"
    whole = finetune(finetuning, operation=TOGETHER, partial=tmp_path / "other", threads=1)
    running = Running(partial, finetuning.facts())
    running.write(1, stop_after(SingleLearner(finetuning), [1], 7))
    running.write(2, stop_after(SingleLearner(finetuning), [2], 12))
    assert running.steps(FOLDS) == {1: 7, 2: 12}
    caplog.set_level("INFO")
    folds = finetune(finetuning, operation=TOGETHER, partial=partial, threads=1)
    assert "folds go on after so many steps: 1 after 7, 2 after 12" in caplog.text
    assert_close(folds, whole)
    path = next(partial.glob("*/fold-01.safetensors"))
    path.unlink()
    assert_close(finetune(finetuning, operation=TOGETHER, partial=partial, threads=1), whole)


def test_folds_that_were_together_go_on_apart_and_the_other_way_round(make, tmp_path):
    finetuning = make("lora")
    whole = [train_fold(finetuning, fold) for fold in FOLDS]
    for number, operation in enumerate((APART, TOGETHER)):
        partial = tmp_path / str(number)
        running = Running(partial, finetuning.facts())
        running.write(0, stop_after(StackedLearner(finetuning), FOLDS, 3 * 9))
        assert running.steps(FOLDS) == {0: 9, 1: 9, 2: 9}
        assert_close(finetune(finetuning, operation=operation, partial=partial, threads=1), whole)


def test_what_does_not_share_an_encoder_is_trained_apart(make, tmp_path):
    finetuning = make("full", steps=4, evaluate_every=2, learning_rate=1e-4)
    folds = finetune(finetuning, operation=TOGETHER, partial=tmp_path / "p", threads=1)
    assert_equal(folds, [train_fold(finetuning, fold) for fold in FOLDS])


@pytest.mark.parametrize("operation", [TOGETHER, APART], ids=["together", "apart"])
def test_the_time_is_predicted_before_training_and_a_long_one_ends(
    make, operation, tmp_path, caplog
):
    caplog.set_level("INFO")
    finetuning, partial = make("ia3"), tmp_path / "partial"
    finetune(finetuning, operation=operation, partial=partial, threads=1)
    lines = [record.message for record in caplog.records]
    predicted = next(i for i, line in enumerate(lines) if line.startswith("20 steps x 3 folds: "))
    assert ", validation included (" in lines[predicted]
    assert predicted < lines.index("train 3 folds: 60 steps")
    strict = replace(operation, cpu_hours_limit=1e-9)
    sentence = r"has no GPU: 20 steps x 3 folds: .* add the overlay resources/\S+\.yaml, or raise"
    with pytest.raises(InputError, match=sentence) as caught:
        finetune(finetuning, operation=strict, partial=tmp_path / "other", threads=1)
    assert not list((tmp_path / "other").glob("*/*"))
    overlay = str(caught.value).split("the overlay ")[1].split(",")[0]
    assert yaml.safe_load((ROOT / overlay).read_text())


def test_predicted_seconds_are_steps_validations_and_the_test(make):
    finetuning = make("ia3", steps=50, evaluate_every=20)
    learner = StackedLearner(finetuning)
    measured = measure_speed(learner, FOLDS)
    assert measured.folds == 3
    assert measured.step > 0
    lengths, splits = learner.data.rows.lengths, learner.data.splits
    speed = Speed(folds=3, step=6.0, token=0.5)
    found = predict_seconds(learner, speed, {0: 0, 2: 45}, processes=1)
    tokens = 3 * lengths[splits[0].validation].sum() + lengths[splits[2].validation].sum()
    tokens += 2 * lengths[splits.test].sum()
    assert found == pytest.approx((50 + 5) * 6 / 3 + tokens * 0.5)
    assert predict_seconds(learner, speed, {0: 0, 2: 0}, processes=2) == pytest.approx(
        predict_seconds(learner, speed, {0: 0, 2: 0}, processes=1) / 2
    )
