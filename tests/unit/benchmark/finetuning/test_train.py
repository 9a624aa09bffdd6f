"""IA3 fine-tuning: what it learns, what it leaves alone, what it keeps and takes up again."""

import hashlib
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
from sklearn.metrics import matthews_corrcoef

from dnalm.benchmark.finetuning.classifier import Fold, FoldClassifiers, predict
from dnalm.benchmark.finetuning.result import make_result, write_finetuning
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune, train_fold
from dnalm.benchmark.scoring.results import identify
from dnalm.errors import InputError
from dnalm.jobs.lock import Lock
from dnalm.model.loading import load_model
from dnalm.model.token_batches import TokenRows

METHOD = {
    "adapter": "ia3",
    "options": {},
    "steps": 40,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "warmup_steps": 0,
    "evaluate_every": 20,
    "keep": "best",
    "patience": None,
    "head": "linear",
    "bins": {"number": 50, "edges": "centres"},
    "class_weights": "none",
    "precision": "float32",
    "optimizer": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "gradient_clip": None,
    "save": "trained",
    "seed": 42,
}
OPERATION = Operation(
    folds_together="auto", micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None, gpus=1
)
EMBED = {
    "layers": "all",
    "pooling": "mean",
    "centre_bases": 6,
    "too_long": "refuse",
    "batch_tokens": 512,
}
OUTPUTS = {"kind": "binary", "classes": 2, "names": None, "lengths": None}
SUMMARY = {"name": "mine.x", "kind": "binary", "classes": 2, "rows": {"train": 60, "test": 40}}


def make_table(rows: int, test: int, splits: int, signal_share: float = 0.8) -> pd.DataFrame:
    """Random DNA of unequal lengths; class 1 is rich in G and C."""
    generator = np.random.default_rng(5)
    labels = np.arange(rows + test) % 2
    shares = [[0.5 - s / 2, s / 2, s / 2, 0.5 - s / 2] for s in (0.5, signal_share)]
    return pd.DataFrame(
        {
            "id": [f"row.{i}" for i in range(rows + test)],
            "sequence": [
                "".join(generator.choice(list("ACGT"), generator.integers(40, 60), p=shares[label]))
                for label in labels
            ],
            "label": labels,
            "split": np.where(np.arange(rows + test) < rows, "train", "test"),
            "provenance": "planted",
            "folds": [[i // 2 % splits] if i < rows else [] for i in range(rows + test)],
        }
    )


@pytest.fixture
def finetuning(small_model: dict[str, str], tmp_path: Path) -> Finetuning:
    files = small_model | {"table": str(tmp_path / "task.parquet")}
    make_table(60, 40, 3).to_parquet(files["table"])
    return Finetuning.of(files, SUMMARY, {}, METHOD, EMBED)


def changed(finetuning: Finetuning, **config) -> Finetuning:
    return replace(finetuning, config=replace(finetuning.config, **config))


def test_it_learns_a_planted_signal(finetuning):
    fold = train_fold(changed(finetuning, steps=120), 0)
    table = pd.read_parquet(finetuning.table)
    truth = table.loc[table["split"] == "test", "label"]
    assert matthews_corrcoef(truth, fold.outputs.argmax(axis=1)) > 0.6
    assert fold.history[-1]["train_loss"] < fold.history[0]["train_loss"]
    np.testing.assert_allclose(fold.outputs.sum(axis=1), 1.0)


def test_only_three_vectors_per_block_and_the_head_are_learned(finetuning):
    fold = train_fold(finetuning, 1)
    vectors = {name: tensor for name, tensor in fold.tensors.items() if name.startswith("adapter.")}
    assert sum(tensor.numel() for tensor in vectors.values()) == 2 * (2 * 16 + 24)
    assert all(not torch.equal(tensor, torch.ones_like(tensor)) for tensor in vectors.values())
    assert {name: tuple(t.shape) for name, t in fold.tensors.items() if name not in vectors} == {
        "head.weight": (2, 16),
        "head.bias": (2,),
    }


def test_frozen_weights_stay_bit_identical(finetuning, monkeypatch):
    before, _ = load_model(finetuning.run, finetuning.weights)
    seen = []

    def keep_model(*paths):
        encoder, vocabulary = load_model(*paths)
        seen.append(encoder)
        return encoder, vocabulary

    monkeypatch.setattr("dnalm.benchmark.finetuning.learner.load_model", keep_model)
    train_fold(finetuning, 0)
    after = {name: tensor for name, tensor in seen[0].state_dict().items() if "scale" not in name}
    assert after.keys() == before.state_dict().keys()
    for name, tensor in before.state_dict().items():
        assert torch.equal(after[name].cpu(), tensor), name


def test_saved_adapter_and_head_predict_as_before_after_a_reload(finetuning, tmp_path):
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    paths = write_all(folds, finetuning, tmp_path)

    table = pd.read_parquet(finetuning.table)
    test = np.flatnonzero(table["split"] == "test")
    for fold in folds:
        encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
        classifier, scale = FoldClassifiers(encoder, vocabulary, paths["trained"]).load(fold.fold)
        rows = TokenRows(table["sequence"].tolist(), table["id"].tolist(), vocabulary, 64)
        again = predict(classifier, rows, test, EMBED["batch_tokens"], "binary", scale)
        np.testing.assert_allclose(again, fold.outputs, atol=1e-6)
        stored = pd.read_parquet(paths["predictions"]).query("fold == @fold.fold")
        assert stored["prediction"].tolist() == again.argmax(axis=1).tolist()
    with pytest.raises(InputError, match="holds no fold 7"):
        FoldClassifiers(encoder, vocabulary, paths["trained"]).load(7)


def test_the_step_with_the_best_validation_score_is_kept(finetuning):
    best = train_fold(changed(finetuning, steps=60, evaluate_every=3), 0)
    values = [row["validation_mcc"] for row in best.history]
    assert best.step == best.history[int(np.argmax(values))]["step"]
    assert [row["step"] for row in best.history] == list(range(3, 61, 3))
    last = train_fold(changed(finetuning, steps=60, evaluate_every=3, keep="last"), 0)
    assert last.step == 60
    # A run that ends at the kept step has seen the same batches: it is the same model.
    short = train_fold(changed(finetuning, steps=best.step, evaluate_every=3, keep="last"), 0)
    assert all(torch.equal(best.tensors[name], short.tensors[name]) for name in best.tensors)


def test_the_last_step_is_evaluated_even_between_two_evaluations(finetuning):
    fold = train_fold(changed(finetuning, steps=25, evaluate_every=10), 0)
    assert [row["step"] for row in fold.history] == [10, 20, 25]


def test_warmup_and_clipping_change_the_way(finetuning):
    plain = train_fold(finetuning, 0)
    for change in ({"warmup_steps": 30}, {"gradient_clip": 1e-3}):
        other = train_fold(changed(finetuning, **change), 0)
        assert other.history[0]["train_loss"] != plain.history[0]["train_loss"]


def identify_small(finetuning: Finetuning) -> dict:
    return identify(
        method="ia3",
        task=SUMMARY,
        table_path=finetuning.table,
        model="small",
        weights_sha256="ab12",
    )


def write_all(folds: list[Fold], finetuning: Finetuning, folder: Path) -> dict[str, Path]:
    """Write the files of a fine-tuning into a folder; return them by their roles."""
    roles = ("trained", "history", "scores", "summary", "predictions")
    paths = {role: folder / role for role in roles}
    identity = identify_small(finetuning)
    write_finetuning(folds, finetuning, identity, OUTPUTS, partial=folder / "none", **paths)
    return paths


def test_the_result_is_that_of_every_fold_alone(finetuning, tmp_path):
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    paths = write_all(folds, finetuning, tmp_path)
    result, facts = make_result(folds, finetuning), json.loads(paths["summary"].read_text())
    assert {key: facts[key] for key in identify_small(finetuning)} == identify_small(finetuning)
    assert facts["selected"] == result.selected
    assert facts["edge"] == result.edge
    assert result.scores["fold"].tolist() == [0, 1, 2]
    assert len(result.selected["steps"]) == 3
    table = pd.read_parquet(finetuning.table)
    truth = table.loc[table["split"] == "test", "label"].to_numpy()
    for fold in range(3):
        alone = train_fold(finetuning, fold)
        predictions = alone.outputs.argmax(axis=1)
        rows = result.predictions.query("fold == @fold")
        assert rows["prediction"].tolist() == predictions.tolist()
        assert result.scores["mcc"][fold] == pytest.approx(matthews_corrcoef(truth, predictions))
        assert result.selected["steps"][fold] == alone.step
        encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
        FoldClassifiers(encoder, vocabulary, paths["trained"]).load(fold)
    history = pd.read_csv(paths["history"], sep="\t")
    assert history.columns.tolist() == ["fold", "step", "train_loss", "validation_mcc"]
    assert history["fold"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("keep", "edge"), [("best", True), ("last", False)])
def test_most_folds_at_the_last_step_are_an_edge_only_if_they_chose_it(
    finetuning, tmp_path, keep, edge
):
    # A single evaluation: every fold keeps the last one.
    finetuning = changed(finetuning, steps=4, evaluate_every=4, keep=keep)
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    result = make_result(folds, finetuning)
    assert result.selected == {"steps": [4, 4, 4]}
    assert result.edge == edge


def test_scores_are_those_of_the_probabilities_before_they_are_narrowed(finetuning, tmp_path):
    table = pd.read_parquet(finetuning.table).query("split == 'test'")
    # In float32 these are all alike.
    positive = 0.9 + 1e-12 * table["label"].to_numpy()
    folds = [
        Fold(
            fold=number,
            tensors={"head.bias": torch.zeros(2)},
            outputs=np.stack([1 - positive, positive], axis=1),
            history=[{"step": 1, "train_loss": 0.5, "validation_mcc": 0.5}],
            step=1,
            seconds=1.0,
            peak_bytes=1,
            trained=2,
            parameters=2,
        )
        for number in range(3)
    ]
    result = make_result(folds, finetuning)
    assert result.scores["auc"].tolist() == [1, 1, 1]
    assert result.scores["mcc"].tolist() == [0, 0, 0]
    stored = result.predictions["probability.1"]
    assert stored.dtype == np.float32
    assert stored.tolist() == [np.float32(0.9)] * 120


KILLED = """
import json, os, signal, sys
from pathlib import Path
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.jobs.partial import Partial

def write_and_die(self, name, value, write=Partial.write):
    write(self, name, value)
    if name.startswith("fold-"):
        os.kill(os.getpid(), signal.SIGKILL)

Partial.write = write_and_die
if __name__ == "__main__":
    files, summary, method, embed, operation, partial = json.loads(Path(sys.argv[1]).read_text())
    finetuning = Finetuning.of(files, summary, {}, method, embed)
    finetune(finetuning, operation=Operation(**operation), partial=partial, threads=1)
"""


def test_a_killed_job_resumes_from_its_finished_folds(finetuning, tmp_path, job_forks):
    partial = tmp_path / "partial"
    arguments = tmp_path / "arguments.json"
    files = {name: getattr(finetuning, name) for name in ("run", "weights", "table")}
    method = METHOD | {"steps": 30, "evaluate_every": 30}
    arguments.write_text(
        json.dumps([files, SUMMARY, method, EMBED, asdict(OPERATION), str(partial)])
    )
    script = tmp_path / "job.py"
    script.write_text(KILLED)
    library = Path(sys.modules["dnalm"].__file__).parents[1]
    done = subprocess.run(
        [job_forks.interpreter, script, arguments],
        env=os.environ | {"PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL

    again = Finetuning.of(files, SUMMARY, {}, method, EMBED)
    kept = {path: path.stat().st_mtime_ns for path in partial.glob("*/fold-*.safetensors")}
    assert len(kept) == 1
    folds = finetune(again, operation=OPERATION, partial=partial, threads=1)
    assert [fold.fold for fold in folds] == [0, 1, 2]
    assert all(path.stat().st_mtime_ns == changed_at for path, changed_at in kept.items())
    whole = finetune(again, operation=OPERATION, partial=tmp_path / "other", threads=1)
    for resumed, one_go in zip(folds, whole, strict=True):
        assert resumed.step == one_go.step
        assert resumed.outputs.tolist() == one_go.outputs.tolist()


def test_a_second_job_on_one_task_ends_with_a_sentence(finetuning, tmp_path):
    short, partial = changed(finetuning, steps=2), tmp_path / "partial"
    sentence = f"is being written by process {os.getpid()} on "
    with Lock(partial / "lock.json"), pytest.raises(InputError, match=sentence):
        finetune(short, operation=OPERATION, partial=partial, threads=1)
    assert [
        fold.fold for fold in finetune(short, operation=OPERATION, partial=partial, threads=1)
    ] == [0, 1, 2]
    # Only what a killed job could go on from is left.
    assert [path.name for path in partial.iterdir()] == [short.identity()]


@pytest.mark.parametrize("share", [0, 0.5, None])
def test_a_fold_that_was_torn_is_made_again(finetuning, tmp_path, caplog, share):
    short = changed(finetuning, steps=2, evaluate_every=2)
    whole = finetune(short, operation=OPERATION, partial=tmp_path / "p", threads=1)
    path = sorted((tmp_path / "p").glob("*/fold-*.safetensors"))[1]
    content = path.read_bytes()
    path.unlink()  # the folds in hand are maps of it
    # A power cut leaves files that are empty, cut, or full of zeros.
    path.write_bytes(bytes(len(content)) if share is None else content[: int(len(content) * share)])
    again = finetune(short, operation=OPERATION, partial=tmp_path / "p", threads=1)
    assert f"{path} cannot be read" in caplog.text
    for one, other in zip(whole, again, strict=True):
        assert one.fold == other.fold
        assert one.outputs.tolist() == other.outputs.tolist()
    assert Fold.load(path).fold == 1


def test_other_settings_do_not_take_up_finished_folds(finetuning):
    names = {
        finetuning.identity(),
        changed(finetuning, learning_rate=1e-3).identity(),
        replace(finetuning, pooling="centre").identity(),
    }
    make_table(60, 40, 2).to_parquet(finetuning.table)
    names.add(finetuning.identity())
    assert len(names) == 4
    # How evaluations are batched decides nothing.
    assert replace(finetuning, batch_tokens=1).identity() == finetuning.identity()


def test_folds_are_kept_under_the_sha256_of_all_that_decides_them(finetuning):
    facts = {
        "run": json.loads(Path(finetuning.run).read_text()),
        "weights": hashlib.sha256(Path(finetuning.weights).read_bytes()).hexdigest(),
        "table": hashlib.sha256(Path(finetuning.table).read_bytes()).hexdigest(),
        "config": METHOD,
        "task": [finetuning.kind, finetuning.classes, finetuning.pooling, finetuning.centre_bases],
    }
    text = json.dumps(facts, sort_keys=True)
    assert finetuning.identity() == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_parallel_processes_give_the_folds_of_one(finetuning, tmp_path):
    one, two = (
        finetune(finetuning, operation=OPERATION, partial=tmp_path / str(n), threads=n)
        for n in (1, 2)
    )
    for first, second in zip(one, two, strict=True):
        assert first.history == second.history
        assert first.outputs.tolist() == second.outputs.tolist()


def test_a_fold_reads_back_as_it_was_saved(finetuning, tmp_path):
    fold = train_fold(finetuning, 2)
    fold.save(tmp_path / "fold.safetensors")
    found = Fold.load(tmp_path / "fold.safetensors")
    assert found.fold == 2
    assert (found.step, found.history, found.seconds) == (fold.step, fold.history, fold.seconds)
    assert all(torch.equal(found.tensors[name], fold.tensors[name]) for name in fold.tensors)
    assert found.tensors.keys() == fold.tensors.keys()


def test_a_loss_that_is_not_finite_stops_with_fold_and_step(finetuning):
    with pytest.raises(InputError, match=r"the loss of fold 1 is nan at step \d+"):
        train_fold(changed(finetuning, learning_rate=1e30), 1)


def test_no_step_makes_the_host_wait_for_a_number_of_the_device(finetuning, host_reads):
    with host_reads() as stacks:
        train_fold(changed(finetuning, steps=4, evaluate_every=2), 0)
    # Adam counts its steps in main memory, which is nothing to wait for.
    apart = {"load_model", "validate", "predict", "_single_tensor_adam"}
    assert not [stack[-8:] for stack in stacks if not apart & set(stack)]


def test_rows_of_one_length_need_no_mask_and_score_as_with_one(finetuning, monkeypatch):
    table = pd.read_parquet(finetuning.table)
    table["sequence"] = table["sequence"].str[:40]
    table.to_parquet(finetuning.table)
    masks, attention = [], torch.nn.functional.scaled_dot_product_attention

    def watch(*states, attn_mask):
        masks.append(attn_mask)
        return attention(*states, attn_mask=attn_mask)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watch)
    without = train_fold(changed(finetuning, steps=4), 0)
    assert masks
    assert all(mask is None for mask in masks)

    batch = TokenRows.batch
    monkeypatch.setattr(TokenRows, "batch", lambda *given: (batch(*given)[0], True))
    masked = train_fold(changed(finetuning, steps=4), 0)
    assert masks[-1] is not None
    np.testing.assert_allclose(without.outputs, masked.outputs, atol=1e-5)


def test_a_sequence_longer_than_the_context_is_named(finetuning):
    table = pd.read_parquet(finetuning.table)
    table.loc[7, "sequence"] = "ACGT" * 40
    table.to_parquet(finetuning.table)
    with pytest.raises(InputError, match=r"row\.7 \(planted\) has 160 bases"):
        train_fold(finetuning, 0)


@pytest.mark.parametrize(("key", "value"), [("schedule", "cosin"), ("adapter", "lorra")])
def test_settings_that_do_not_exist_are_refused(key, value):
    with pytest.raises(InputError, match=f"{key}: '{value}' is not allowed"):
        FinetuneConfig(**METHOD | {key: value})


def test_given_validation_rows_are_trained_for_with_another_seed_in_every_split(
    finetuning: Finetuning,
) -> None:
    table = make_table(60, 40, 3)
    table["folds"] = [[0, 1] if 30 <= row < 60 else [] for row in range(100)]
    table.to_parquet(finetuning.table)
    first, second = (train_fold(finetuning, fold) for fold in (0, 1))
    assert (first.outputs != second.outputs).any()
    assert first.history != second.history


def test_the_middle_of_a_sequence_beyond_the_context_is_learned_from_and_counted(
    small_model: dict[str, str], tmp_path: Path
) -> None:
    table = make_table(60, 40, 3)
    long = table["sequence"].index[::7]
    extended = table["sequence"].copy()
    extended[long] = ["A" * 100 + text[:50].ljust(50, "C") + "G" * 100 for text in extended[long]]
    path = str(tmp_path / "long.parquet")
    table.assign(sequence=extended).to_parquet(path)
    files = small_model | {"table": path}
    with pytest.raises(InputError, match=r"row row.0 .* set embed.too_long to centre"):
        train_fold(Finetuning.of(files, SUMMARY, {}, METHOD, EMBED), 0)
    cropping = Finetuning.of(files, SUMMARY, {}, METHOD, EMBED | {"too_long": "centre"})
    fold = train_fold(cropping, 0)

    # 63 words of two bases fit beside <cls>: the 126 bases around the middle of 250.
    cut = tmp_path / "cut"
    cut.mkdir()
    middles = extended.where(~extended.index.isin(long), extended.str[62:188])
    table.assign(sequence=middles).to_parquet(cut / "task.parquet")
    whole = small_model | {"table": str(cut / "task.parquet")}
    again = train_fold(Finetuning.of(whole, SUMMARY, {}, METHOD, EMBED), 0)
    assert fold.outputs.tolist() == again.outputs.tolist()
    assert fold.history == again.history

    copied = [{name: values.clone() for name, values in fold.tensors.items()} for _ in range(3)]
    folds = [replace(fold, fold=number, tensors=own) for number, own in enumerate(copied)]
    paths = write_all(folds, cropping, tmp_path)
    assert json.loads(paths["summary"].read_text())["cropped_rows"] == len(long)
    bases = Finetuning.of(files, SUMMARY | {"kind": "per_base"}, {}, METHOD, EMBED)
    assert bases.too_long == "refuse"
    assert cropping.identity() != replace(cropping, too_long="refuse").identity()
