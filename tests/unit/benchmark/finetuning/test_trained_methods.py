"""Every method and network in the one loop: what changes, what does not, what comes back."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

import dnalm
from dnalm.benchmark.finetuning.classifier import FoldClassifiers
from dnalm.benchmark.finetuning.fingerprints import Fingerprints
from dnalm.benchmark.finetuning.result import make_result, write_finetuning
from dnalm.benchmark.finetuning.schedule import SCHEDULES, rate_at
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune, train_fold
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.configuration.finetuning import resolve_method, resolve_network
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.methods import ADAPTERS
from dnalm.model.loading import load_model

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
OPERATION = Operation(
    folds_together="auto", micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None, gpus=1
)
EMBED = {"pooling": "mean", "centre_bases": 6, "too_long": "refuse", "batch_tokens": 512}
SHORT = {"steps": 12, "evaluate_every": 6, "batch_size": 8, "save": "trained"}
# Rates at which a model of a few thousand weights learns in so few steps.
RATES = {"ia3": 1e-2, "lora": 1e-3, "full": 3e-3, "head": 1e-2}
METHODS = [adapter.name for adapter in ADAPTERS]
SMALL = {"filters": 6}
SHAPES = ({"widths": [5, 3]}, {"first": 5, "dilated": 3}, {"context": 80})
# One of each shape: made this small, those of other sizes are the same network.
ONE_OF_EACH = ["bpnet", "cnn", "spliceai_80"]
TRAIN, TEST = 48, 24


def label_of(sequence: str, kind: str) -> object:
    rich = int(sum(map(sequence.count, "CG")) > len(sequence) / 2)
    return {
        "binary": rich,
        "multilabel": [rich, int(sequence.startswith("A"))],
        "regression": [float(rich), float(len(sequence))],
        "per_base": [int(base in "CG") for base in sequence],
    }[kind]


def write_task(path: Path, kind: str = "binary") -> dict:
    """Write random DNA of unequal lengths and composition; return the summary of the task."""
    random = np.random.default_rng(5)
    sequences = [
        "".join(random.choice(list("ACGT"), random.integers(30, 50), p=shares))
        for shares in ([0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]) * ((TRAIN + TEST) // 2)
    ]
    pd.DataFrame(
        {
            "id": [f"row.{i}" for i in range(TRAIN + TEST)],
            "sequence": sequences,
            "label": [label_of(sequence, kind) for sequence in sequences],
            "split": ["train"] * TRAIN + ["test"] * TEST,
            "provenance": "planted",
            "folds": [[i // 2 % 2] if i < TRAIN else [] for i in range(TRAIN + TEST)],
        }
    ).to_parquet(path)
    return {"name": "mine.x", "kind": kind, "classes": 2, "rows": {"train": TRAIN, "test": TEST}}


@pytest.fixture
def make(small_model, tmp_path):
    """Return a function: the fine-tuning of a shipped method, shortened, with changes."""
    files = small_model | {"table": str(tmp_path / "task.parquet")}

    def of(name: str, kind: str = "binary", **changes) -> Finetuning:
        summary = write_task(Path(files["table"]), kind)
        settings = resolve_method(CONFIG, name) | SHORT | {"learning_rate": RATES[name]}
        return Finetuning.of(files, summary, {}, settings | changes, EMBED)

    return of


def make_network(name: str, path: Path, kind: str = "binary", **changes) -> Finetuning:
    settings = resolve_network(CONFIG, name) | SHORT | {"warmup_steps": 0}
    shape = next(shape for shape in SHAPES if shape.keys() < settings["network"].keys())
    settings |= {"network": SMALL | shape} | changes
    return Finetuning.of_network(name, path, write_task(path, kind), settings, EMBED)


def write(finetuning: Finetuning, folder: Path, method: str) -> dict[str, Path]:
    """Train all folds and write their files into `folder`; return the files by role."""
    folds = finetune(finetuning, operation=OPERATION, partial=folder / "partial", threads=1)
    paths = {role: folder / role for role in ("history", "scores", "summary", "predictions")}
    paths["trained"] = folder / "adapters.safetensors"
    identity = identify(
        method=method,
        task={"name": "mine.x", "kind": finetuning.kind, "rows": {"train": TRAIN, "test": TEST}},
        table_path=finetuning.table,
        model="small",
        weights_sha256=sha256_of(finetuning.weights),
    )
    outputs = describe_outputs({"kind": finetuning.kind, "classes": 2, "rows": {}})
    write_finetuning(folds, finetuning, identity, outputs, partial=folder / "partial", **paths)
    return paths


@pytest.mark.parametrize("name", METHODS)
def test_what_is_trained_changes_and_all_else_stays_bit_for_bit(make, name, monkeypatch, caplog):
    finetuning, seen = make(name), []
    before, _ = load_model(finetuning.run, finetuning.weights)

    def keep_model(*paths):
        encoder, vocabulary = load_model(*paths)
        seen.append(encoder)
        return encoder, vocabulary

    monkeypatch.setattr("dnalm.benchmark.finetuning.learner.load_model", keep_model)
    fold = train_fold(finetuning, 0)
    assert "have not changed" not in caplog.text
    after, first = dict(seen[0].named_parameters()), dict(before.named_parameters())
    trained = {key for key in fold.tensors if key.startswith("adapter.")}
    for key, values in first.items():
        equal = torch.equal(after[key].cpu(), values)
        assert equal == (f"adapter.{key}" not in trained), key
    assert fold.trained == sum(values.numel() for values in fold.tensors.values())
    extra = sum(values.numel() for key, values in after.items() if key not in first)
    assert fold.parameters == sum(map(torch.numel, first.values())) + extra + 2 * 16 + 2


@pytest.mark.parametrize("name", METHODS)
def test_every_method_comes_back_through_the_public_door(make, name, tmp_path, small_model):
    finetuning = make(name)
    folder = tmp_path / "task"
    folder.mkdir()
    paths = write(finetuning, folder, name)
    model = dnalm.load_model(Path(small_model["run"]).parent)
    before = {key: values.clone() for key, values in model.encoder.state_dict().items()}
    table = pd.read_parquet(finetuning.table).query("split == 'test'")
    classifier = dnalm.load_classifier(model, folder)
    each = [dnalm.predict(classifier, list(table["sequence"]), folds=[f]) for f in (0, 1, 0)]
    assert np.array_equal(each[0], each[2])  # a fold leaves nothing behind for the next one
    folds = make_result_outputs(finetuning, tmp_path)
    for found, expected in zip(each, folds, strict=False):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert all(torch.equal(values, before[k]) for k, values in model.encoder.state_dict().items())
    summary = json.loads(paths["summary"].read_text())
    assert 0 < summary["trained_parameters"] <= summary["all_parameters"]
    memory = summary["peak_memory"]
    assert memory["of"] == "process"
    # Of a process that has loaded torch, and less than this machine has.
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert len(memory["bytes"]) == summary["splits"]
    assert all(1e8 < held < installed for held in memory["bytes"])


def make_result_outputs(finetuning: Finetuning, folder: Path) -> list[np.ndarray]:
    folds = finetune(finetuning, operation=OPERATION, partial=folder / "again", threads=1)
    return [fold.outputs for fold in folds]


def test_scores_alone_hold_no_tensor_and_say_so(make, tmp_path, small_model):
    finetuning = make("full", save="scores")
    folder = tmp_path / "task"
    folder.mkdir()
    paths = write(finetuning, folder, "full")
    assert paths["trained"].stat().st_size < 10_000
    model = dnalm.load_model(Path(small_model["run"]).parent)
    classifier = dnalm.load_classifier(model, folder)
    with pytest.raises(InputError, match=r"holds scores alone, .* write save: trained"):
        dnalm.predict(classifier, ["ACGTACGTAC"])
    encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
    with pytest.raises(InputError, match="holds scores alone"):
        FoldClassifiers(encoder, vocabulary, paths["trained"]).load(0)
    scores = pd.read_csv(paths["scores"], sep="\t")
    kept = write(make("full"), tmp_path, "full")
    assert scores.equals(pd.read_csv(kept["scores"], sep="\t"))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_networks_learn_and_are_ranked_by_their_validation_scores(name, tmp_path):
    finetuning = make_network(name, tmp_path / "t.parquet", steps=60, learning_rate=1e-2)
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "p", threads=1)
    result = make_result(folds, finetuning)
    assert result.scores["mcc"].mean() > 0.7
    values = [max(row["validation_mcc"] for row in fold.history) for fold in folds]
    assert result.grid[0]["validation_mcc_mean"] == pytest.approx(np.mean(values))
    assert all(fold.trained == fold.parameters for fold in folds)
    weights = [own for name, own in folds[0].tensors.items() if not name.startswith("batches.")]
    assert sum(tensor.numel() for tensor in weights) == folds[0].parameters
    scores = make_network(name, tmp_path / "t.parquet", steps=6, save="scores")
    assert train_fold(scores, 0).tensors == {}
    again = train_fold(finetuning, 1)
    assert again.outputs.tolist() == folds[1].outputs.tolist()


@pytest.mark.parametrize("kind", ["multilabel", "regression", "per_base"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_networks_serve_every_kind_of_task(kind, name, tmp_path):
    finetuning = make_network(name, tmp_path / "t.parquet", kind, steps=60, learning_rate=1e-2)
    fold = train_fold(finetuning, 0)
    assert fold.history[-1]["train_loss"] < 0.9 * fold.history[0]["train_loss"]
    assert np.isfinite(fold.outputs).all()


def test_a_network_is_trained_again_only_when_its_settings_change(tmp_path):
    one = make_network("cnn", tmp_path / "t.parquet")
    other = replace(one, network=one.network | {"filters": 7})
    assert one.identity() == make_network("cnn", tmp_path / "t.parquet").identity()
    assert len({one.identity(), other.identity()}) == 2


def test_a_frozen_bit_that_changes_stops_the_job(caplog):
    module = torch.nn.Linear(3, 3)
    module.weight.requires_grad_(False)
    before = Fingerprints.of(module)
    before.check(module, "fold 0")
    assert "fold 0: 1 of 1 trained parameters of the encoder have not changed: bias" in caplog.text
    with torch.no_grad():
        module.weight.view(torch.int32)[0, 0] ^= 1
    with pytest.raises(RuntimeError, match="fold 0: training changed weight"):
        before.check(module, "fold 0")


@pytest.mark.parametrize("warmup", [0, 4])
def test_rates_follow_the_schedules_of_transformers(warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    makers = {"linear": get_linear_schedule_with_warmup, "cosine": get_cosine_schedule_with_warmup}
    assert makers.keys() | {"constant"} == SCHEDULES.keys()
    for schedule, maker in makers.items():
        (rate,) = maker(optimizer, warmup, 20).lr_lambdas
        for step in range(1, 21):
            found = rate_at(step, 20, peak=0.5, warmup_steps=warmup, schedule=schedule)
            assert found == pytest.approx(0.5 * rate(step))
    constant = [
        rate_at(step, 9, peak=0.5, warmup_steps=warmup, schedule="constant") for step in (1, 4, 9)
    ]
    assert constant == ([0.5, 0.5, 0.5] if warmup == 0 else [0.125, 0.5, 0.5])


def test_training_ends_after_so_many_evaluations_without_a_better_one(make):
    ticks = []
    finetuning = make("head", steps=60, evaluate_every=2, patience=3)
    fold = train_fold(finetuning, 0, ticks.append)
    values = [row["validation_mcc"] for row in fold.history]
    best = int(np.argmax(values))
    assert len(values) == best + 1 + 3 < 30
    assert sum(ticks) == 60  # the bar reaches its end
    whole = train_fold(make("head", steps=60, evaluate_every=2), 0)
    assert [row["validation_mcc"] for row in whole.history[: len(values)]] == values


def test_steps_in_bf16_give_nearly_the_same_and_are_scored_in_float32(make):
    exact = train_fold(make("lora"), 0)
    rough = train_fold(make("lora", precision="bf16"), 0)
    assert rough.outputs.dtype == np.float64
    difference = np.abs(rough.outputs - exact.outputs).max()
    assert 0 < difference < 0.05
    assert all(values.dtype == torch.float32 for values in rough.tensors.values())


def test_balanced_weights_change_the_way_and_regressions_refuse_them(make):
    plain, balanced = (
        train_fold(make("head", "multilabel", class_weights=weights), 0)
        for weights in ("none", "balanced")
    )
    assert plain.history[0]["train_loss"] != balanced.history[0]["train_loss"]
    with pytest.raises(InputError, match="balanced, but a regression has no classes"):
        train_fold(make("head", "regression", class_weights="balanced"), 0)


def test_a_rate_meant_for_another_method_is_warned_of(make, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    finetune(
        make("full", steps=2, learning_rate=5e-4),
        operation=OPERATION,
        partial=tmp_path / "p",
        threads=1,
    )
    sentence = "learning_rate is 0.0005 and is a rate for ia3 or lora or head, but full fine-tuning"
    assert f"{sentence} usually learns at 1e-06 to 0.0001: lower it" in caplog.text
