"""Predictions by every row of the tables of methods: probes, adapters and networks from scratch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import dnalm
from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.shards import Embedding, embed_task
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.benchmark.finetuning.result import make_result, write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.parquet import read_names
from dnalm.benchmark.prediction.classifiers import load_classifier
from dnalm.benchmark.prediction.entry import predict_entry
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.probing.saved import save_probe
from dnalm.benchmark.scoring.results import identify
from dnalm.configuration.finetuning import resolve_method, resolve_network
from dnalm.configuration.predictions import resolve_asked, resolve_prediction
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.methods import BASELINE, BY_NAME, NETWORKS

from .conftest import make_table

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
EMBED = {key: value for key, value in CONFIG["embed"].items() if key != "export"}
OPERATION = Operation(**CONFIG["finetune"]["operation"])
SHORT = {"steps": 8, "evaluate_every": 4, "batch_size": 8, "warmup_steps": 0, "save": "trained"}
SHAPES = {"cnn": {"filters": 6, "widths": [5, 3]}} | {
    name: {"filters": 6, "context": 80} for name in NETWORKS if name.startswith("spliceai")
}
SEARCH = {"units": [4, 8], "trials": 2, "together": 2, "epochs": 2, "prune_after": None}
TASK = {
    "name": "mine.x",
    "kind": "multilabel",
    "classes": 2,
    "rows": {"train": 60, "test": 20},
    "names": None,
    "lengths": {"min": 40, "max": 59},
}


@pytest.fixture
def table(tmp_path):
    rows = make_table()
    pairs = zip(rows["label"], rows["sequence"], strict=True)
    labels = [[label, int(sequence[0] in "AC")] for label, sequence in pairs]
    rows.assign(label=labels).to_parquet(tmp_path / "mine.x.parquet")
    return str(tmp_path / "mine.x.parquet")


def train_probe(name, model, table, folder):
    """Return the result of a probe, and the file that it keeps."""
    embedding = Embedding(**model, table=table, config=EmbedConfig(**EMBED), threads=1)
    embed_task(embedding, folder / "embeddings", folder / "partial", ["cpu"])
    features, metadata = read_embeddings(folder / "embeddings", table)
    fit = {
        "probe": lambda rows: probe(
            features, rows, "multilabel", ProbeConfig(**CONFIG["probe"]), 1
        ),
        "mlp": lambda rows: mlp_probe(
            features, rows, "multilabel", MlpConfig(**CONFIG["mlp"] | SEARCH), 1, None
        ),
    }
    result = fit[name](pd.read_parquet(table))
    sha256 = metadata["weights_sha256"]
    identity = identify(
        method=name, task=TASK, table_path=table, embeddings=metadata, weights_sha256=sha256,
        model="small",
    )  # fmt: skip
    path = folder / "mine.x.safetensors"
    save_probe(result, identity, TASK, metadata, model["run"], path)
    return result, path


def train_adapter(name, model, table, folder):
    settings = resolve_method(CONFIG, name) | SHORT
    finetuning = Finetuning.of({**model, "table": table}, TASK, {}, settings, EMBED)
    names = {"method": name, "model": "small", "weights_sha256": sha256_of(model["weights"])}
    return train(finetuning, names, folder, folder / "adapters.safetensors")


def train_network(name, table, folder):
    settings = resolve_network(CONFIG, name) | SHORT
    settings["network"] = SHAPES.get(name, {"filters": 6, "first": 5, "dilated": 3})
    finetuning = Finetuning.of_network(name, table, TASK, settings, EMBED)
    names = {"method": BASELINE, "baseline": name}
    return train(finetuning, names, folder, folder / "mine.x.safetensors")


def train(finetuning, names, folder, path):
    partial = folder / "partial"
    folds = finetune(finetuning, operation=OPERATION, partial=partial, threads=1)
    identity = identify(task=TASK, table_path=finetuning.table, **names)
    roles = ("history", "scores", "summary", "predictions")
    files = {role: folder / role for role in roles}
    write_finetuning(folds, finetuning, identity, TASK, trained=path, partial=partial, **files)
    return make_result(folds, finetuning), path


def train_any(name, model, table, folder):
    if name in NETWORKS:
        return train_network(name, table, folder)
    of = train_adapter if hasattr(BY_NAME[name], "add") else train_probe
    return of(name, model, table, folder)


@pytest.mark.parametrize("name", [*BY_NAME, *NETWORKS])
def test_sequences_are_predicted_as_the_test_rows_of_the_task_were(
    name, small_model, table, tmp_path
):
    result, path = train_any(name, small_model, table, tmp_path)
    test = pd.read_parquet(table).query("split == 'test'")
    test[["id", "sequence"]].to_csv(tmp_path / "rows.csv", index=False)
    own = {} if name in NETWORKS else {"model": "small"}
    entry = {**own, "method": name, "task": "mine.x", "path": "rows.csv"}
    config = {**CONFIG, "predictions": {"mine": entry}, "tasks": {"mine.x": {"path": "x.csv"}}}
    files = {"classifier": str(path), "sequences": str(tmp_path / "rows.csv")}
    files |= {} if name in NETWORKS else small_model
    outputs = {"tsv": str(tmp_path / "out.tsv"), "parquet": str(tmp_path / "out.parquet")}
    settings, asked = resolve_prediction(config, "mine"), resolve_asked(config, "mine")
    predict_entry(files, settings, asked, outputs, 1)

    expected = result.predictions.groupby("id", sort=False)["probability.1"].mean()
    found = pd.read_parquet(outputs["parquet"]).set_index("id")
    np.testing.assert_allclose(found["probability.1"], expected[found.index], atol=1e-5)
    assert set(found["folds"]) == {3}
    told = read_names(outputs["parquet"])
    assert (told["method"], told["task"]) == (name, "mine.x")
    assert told.get("model") == (None if name in NETWORKS else "small")

    model = None if name in NETWORKS else dnalm.load_model(Path(small_model["run"]).parent)
    adapters = hasattr(BY_NAME.get(name), "add")
    classifier = dnalm.load_classifier(model, tmp_path if adapters else tmp_path / "mine.x")
    own = dnalm.predict(classifier, test["sequence"].tolist())
    np.testing.assert_allclose(own[:, 1], expected[test["id"]], atol=1e-5)


def test_a_network_takes_pooling_of_a_task_for_nothing_and_any_length(table, tmp_path):
    _, path = train_network("bpnet", table, tmp_path)
    classifier = dnalm.load_classifier(None, path.with_suffix(""))
    assert classifier.facts.made == {}
    assert dnalm.predict(classifier, ["ACGT" * 5000, "NNNN"]).shape == (2, 2)


def test_what_needs_a_model_says_so_and_a_damaged_network_too(small_model, table, tmp_path):
    _, path = train_adapter("head", small_model, table, tmp_path)
    with pytest.raises(InputError, match="needs the model that it was made from"):
        load_classifier(None, path)
    _, path = train_network("cnn", table, tmp_path)
    path.write_bytes(path.read_bytes().replace(b'\\"filters\\": 6', b'\\"filters\\": 9'))
    with pytest.raises(InputError, match="4 of its tensors differ in name or shape"):
        dnalm.predict(load_classifier(None, path), ["ACGTACGT"])
