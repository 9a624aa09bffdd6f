"""Models that are not ours in the loop of all fine-tuning: trained, kept, gone on with, scored."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import random_transformers
import torch
from safetensors.torch import load_file
from sklearn.metrics import matthews_corrcoef
from transformers import AutoTokenizer

from dnalm.benchmark.embedding.embedders import describe_embedder
from dnalm.benchmark.finetuning import learner
from dnalm.benchmark.finetuning.classifier import FoldClassifiers, predict
from dnalm.benchmark.finetuning.peft_folders.base_models import find_base
from dnalm.benchmark.finetuning.peft_folders.folders import export_adapters
from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune, train_fold
from dnalm.benchmark.prediction.entry import predict_entry
from dnalm.benchmark.scoring.results import identify
from dnalm.configuration.finetuning import resolve_method
from dnalm.configuration.predictions import resolve_asked, resolve_prediction
from dnalm.errors import InputError
from dnalm.methods import ADAPTERS
from dnalm.model.embedders.tunable import open_tunable

from .test_trained_methods import CONFIG, EMBED, RATES, SHORT, write_task

OUTPUTS = {"kind": "binary", "classes": 2, "names": None, "lengths": None}
NAMES = ["modernbert", "big_bird", "bert"]
OPERATION = Operation(
    folds_together="auto", micro_batch=None, checkpoint_minutes=0, cpu_hours_limit=None
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Random models, {name: (entry, the file of what it is)}."""
    made = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp(name)
        random_transformers.save_model(name, folder / "weights")
        entry = {"transformers": str(folder / "weights")}
        rights = {"model": name, "source": None, "licence": "mit", "citation": None}
        describe_embedder(entry, rights, "cpu", folder / "embedder.json")
        made[name] = entry, str(folder / "embedder.json")
    return made


@pytest.fixture
def make(described, tmp_path):
    """Return a function: the fine-tuning of a model by a shipped method, shortened."""

    def settings(name, method, kind="binary", **changes):
        entry, path = described[name]
        summary = write_task(tmp_path / f"{kind}.parquet", kind)
        own = resolve_method(CONFIG, method) | SHORT | {"learning_rate": RATES[method]} | changes
        files = {"described": path, "table": str(tmp_path / f"{kind}.parquet")}
        return Finetuning.of(files, summary, {}, own, EMBED, entry)

    return settings


@pytest.mark.parametrize("method", [adapter.name for adapter in ADAPTERS])
@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_what_it_says_and_predicts_again_what_it_wrote(
    make, tmp_path, name, method
):
    finetuning = make(name, method)
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    encoder, tokens = open_tunable(finetuning.embedder["entry"])
    whole = sum(values.numel() for values in encoder.parameters())
    head = 2 * encoder.config.width + 2
    assert all(fold.trained > head or method == "head" for fold in folds)
    assert (folds[0].trained == whole + head) == (method == "full")
    losses = [row["train_loss"] for row in folds[0].history]
    assert losses[-1] < losses[0]
    identity = identify(
        method=method,
        task={"name": "mine.x", "kind": "binary", "classes": 2, "rows": {"train": 1, "test": 1}},
        table_path=finetuning.table,
        model=name,
        weights_sha256=finetuning.weights_sha256(),
    )
    files = {key: tmp_path / key for key in ("scores", "summary", "predictions", "history")}
    write_finetuning(
        folds, finetuning, identity, OUTPUTS, trained=tmp_path / "adapters.safetensors",
        partial=tmp_path / "partial", **files,
    )  # fmt: skip
    table = pd.read_parquet(finetuning.table)
    test = table[table["split"] == "test"]
    classifiers = FoldClassifiers(encoder, tokens, tmp_path / "adapters.safetensors")
    rows = tokens.make_rows(test["sequence"].tolist(), test["id"].tolist(), "mean", 6)
    for fold in folds:
        classifier, scale = classifiers.load(fold.fold)
        outputs = predict(classifier, rows, np.arange(len(test)), 512, "binary", scale)
        np.testing.assert_allclose(outputs, fold.outputs, atol=1e-6)
    scores = pd.read_csv(tmp_path / "scores", sep="\t")
    expected = [matthews_corrcoef(test["label"], fold.outputs.argmax(1)) for fold in folds]
    np.testing.assert_allclose(scores["mcc"], expected, atol=1e-9)
    facts = json.loads((tmp_path / "summary").read_text())
    assert facts["all_parameters"] >= whole
    check_predictions(finetuning, folds, test, tmp_path)
    if method in ("ia3", "lora"):
        check_card(finetuning, folds, test["sequence"].tolist(), tmp_path)
    names = [key.split(".", 2)[2] for key in load_file(tmp_path / "adapters.safetensors")]
    assert all(key.startswith(("adapter.module.", "head.")) for key in names)


def check_predictions(finetuning, folds, test, folder):
    """An entry of `predictions:` gives the mean over folds of what the test rows were given."""
    found = predict_again(finetuning, "ia3", test, folder, "tsv")
    expected = np.mean([fold.outputs[:, 1] for fold in folds], axis=0)
    np.testing.assert_allclose(found["probability.1"], expected, atol=1e-5)


def predict_again(finetuning, method, test, folder, form):
    """Return what an entry of `predictions:` gives for the test rows."""
    test[["id", "sequence"]].to_csv(folder / "rows.csv", index=False)
    entry = {"model": "m", "method": method, "task": "mine.x", "path": "rows.csv"}
    config = {**CONFIG, "predictions": {"p": entry}, "tasks": {"mine.x": {"path": "x.csv"}}}
    config["embed"] = {**CONFIG["embed"], **EMBED}
    files = {"classifier": str(folder / "adapters.safetensors"), "sequences": folder / "rows.csv"}
    files["described"] = finetuning.embedder["described"]
    settings = resolve_prediction(config, "p") | {"embedder": finetuning.embedder["entry"]}
    path = folder / f"out.{form}"
    predict_entry(files, settings, resolve_asked(config, "p"), {form: str(path)}, 1)
    return pd.read_csv(path, sep="\t") if form == "tsv" else pd.read_parquet(path)


def check_card(finetuning, folds, sequences, folder):
    """The code on the card of a peft folder gives what the test rows were given."""
    entry = finetuning.embedder["entry"]
    files, place = {"described": finetuning.embedder["described"]}, entry["transformers"]
    base = find_base(files, {"folder": place, "revision": None}, entry)
    rights = {"source": None, "licence": "mit", "citation": None}
    export_adapters(folder / "adapters.safetensors", base, rights, folder / "peft")
    own = folder / f"peft/fold.{folds[0].fold}"
    code = (own / "README.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace('"..."', f'"{own}"').replace('["ACGTACGTACGT"]', repr(sequences[:3]))
    scope: dict = {}
    with torch.no_grad():
        exec(code, scope)
    found = scope["outputs"].softmax(-1).numpy()
    np.testing.assert_allclose(found, folds[0].outputs[:3], atol=1e-5)
    other = replace(base, weights_sha256="0" * 64)
    with pytest.raises(InputError, match="was made from other weights than those of"):
        export_adapters(folder / "adapters.safetensors", other, rights, folder / "again")
    with pytest.raises(InputError, match="is opened by `call`, so that its adapters have no form"):
        find_base(files, {"folder": place, "revision": None}, {"call": "a:b"})


def test_a_killed_fold_goes_on_to_the_same_bits(make, tmp_path, monkeypatch):
    finetuning = make("bert", "lora")
    whole = train_fold(finetuning, 0)
    update, made = learner.SingleLearner.update, []

    def stop(self, *arguments):
        made.append(1)
        if len(made) == 22:  # those of the forecast among them
            raise KeyboardInterrupt
        return update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(learner.SingleLearner, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    assert list((tmp_path / "partial").rglob("*.running"))
    first, _ = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    assert first.history == whole.history
    assert all(torch.equal(first.tensors[key], own) for key, own in whole.tensors.items())


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("name", ["modernbert", "bert"])
def test_single_bases_are_learned_and_predicted_again(make, tmp_path, name, method):
    """Class 1 is G or C: of a token a base the head reads it off, of byte pairs by the place."""
    finetuning = make(name, method, "per_base", steps=40, evaluate_every=20)
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    losses = [row["train_loss"] for row in folds[0].history]
    assert losses[-1] < 0.9 * losses[0]
    task = {"name": "mine.x", "kind": "per_base", "classes": 2, "rows": {"train": 1, "test": 1}}
    identity = identify(
        method=method,
        task=task,
        table_path=finetuning.table,
        model=name,
        weights_sha256=finetuning.weights_sha256(),
    )
    files = {key: tmp_path / key for key in ("scores", "summary", "predictions", "history")}
    outputs = OUTPUTS | {"kind": "per_base"}
    write_finetuning(
        folds, finetuning, identity, outputs, trained=tmp_path / "adapters.safetensors",
        partial=tmp_path / "partial", **files,
    )  # fmt: skip
    table = pd.read_parquet(finetuning.table)
    test = table[table["split"] == "test"]
    stored = pd.read_parquet(tmp_path / "predictions")
    encoder, tokens = open_tunable(finetuning.embedder["entry"])
    classifiers = FoldClassifiers(encoder, tokens, tmp_path / "adapters.safetensors")
    rows = tokens.make_base_rows(test["sequence"].tolist(), test["id"].tolist())
    for fold in folds:
        classifier, scale = classifiers.load(fold.fold)
        found = predict(classifier, rows, np.arange(len(test)), 512, "per_base", scale)
        own = stored[stored["fold"] == fold.fold]
        for given, sequence, label, expected in zip(
            found, test["sequence"], own["label"], own["probability.1"], strict=True
        ):
            assert len(label) == len(expected) == len(sequence)
            np.testing.assert_allclose(given[: len(sequence), 1], expected, atol=1e-5)
    found = predict_again(finetuning, method, test, tmp_path, "parquet")
    by_id = stored.groupby("id")["probability.1"].agg(list)
    for name, probabilities in zip(found["id"], found["probability.1"], strict=True):
        expected = np.mean(np.stack(by_id[name]), axis=0)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_another_model_or_pooling_is_another_fine_tuning(make):
    one, other = make("bert", "ia3"), make("big_bird", "ia3")
    assert one.identity() != other.identity()
    assert one.identity() != replace(one, pooling="cls").identity()


@pytest.fixture
def short(tmp_path):
    """A model of byte pairs that reads 16 tokens, and the method that trains its head on a task."""
    tokenizer = random_transformers.train_tokenizer(random_transformers.draw_texts())
    random_transformers.save_short("bert", tmp_path / "weights", tokenizer, 16)
    entry = {"transformers": str(tmp_path / "weights")}
    rights = {"model": "short", "source": None, "licence": "mit", "citation": None}
    describe_embedder(entry, rights, "cpu", tmp_path / "embedder.json")
    method = resolve_method(CONFIG, "lora") | SHORT | {"learning_rate": RATES["lora"]}

    def settings(path, kind="binary", too_long="centre"):
        files = {"described": tmp_path / "embedder.json", "table": path}
        summary = {"kind": kind, "classes": 2}
        return Finetuning.of(files, summary, {}, method, EMBED | {"too_long": too_long}, entry)

    return settings


def test_the_middle_of_long_rows_is_trained_on_and_predicted_again(short, tmp_path, monkeypatch):
    """To the same bits as of rows that were cut by hand."""
    write_task(tmp_path / "binary.parquet")
    finetuning = short(tmp_path / "binary.parquet")
    table = pd.read_parquet(finetuning.table)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "weights")
    middles = [
        next(
            text[start : start + size]
            for size in range(len(text), 0, -1)
            for start in [(len(text) - size) // 2]
            if len(tokenizer(text[start : start + size])["input_ids"]) <= 16
        )
        for text in table["sequence"]
    ]
    table.assign(sequence=middles).to_parquet(tmp_path / "cut.parquet")
    cropped = sum(own != text for own, text in zip(middles, table["sequence"], strict=True))
    assert cropped > 20
    by_hand = train_fold(short(tmp_path / "cut.parquet", too_long="refuse"), 0)
    with pytest.raises(InputError, match=r"row row\.\d+ .* or set embed.too_long to centre, which"):
        train_fold(short(tmp_path / "binary.parquet", too_long="refuse"), 0)
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "partial", threads=1)
    assert all(torch.equal(folds[0].tensors[key], own) for key, own in by_hand.tensors.items())
    identity = identify(
        method="lora",
        task={"name": "mine.x", "kind": "binary", "classes": 2, "rows": {"train": 1, "test": 1}},
        table_path=finetuning.table,
        model="short",
        weights_sha256=finetuning.weights_sha256(),
    )
    files = {key: tmp_path / key for key in ("scores", "summary", "predictions", "history")}
    write_finetuning(
        folds, finetuning, identity, OUTPUTS, trained=tmp_path / "adapters.safetensors",
        partial=tmp_path / "partial", **files,
    )  # fmt: skip
    assert json.loads((tmp_path / "summary").read_text())["cropped_rows"] == cropped
    monkeypatch.setitem(EMBED, "too_long", "centre")
    check_predictions(finetuning, folds, table[table["split"] == "test"], tmp_path)


def test_long_rows_of_single_bases_are_refused_whatever_is_set(short, tmp_path):
    write_task(tmp_path / "bases.parquet", "per_base")
    finetuning = short(tmp_path / "bases.parquet", "per_base")
    assert finetuning.too_long == "refuse"
    with pytest.raises(InputError, match=r"or choose a model with a longer context\.$"):
        train_fold(finetuning, 0)
