"""A small model, and a probe and fine-tuned folds of it that were trained by the library."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from dnalm import load_classifier, load_model
from dnalm.benchmark.embedding.embed import EmbedConfig, read_embeddings
from dnalm.benchmark.embedding.shards import Embedding, embed_task
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.saved import save_probe
from dnalm.benchmark.scoring.results import identify
from dnalm.files import sha256_of

FOLDS = 3


def draw(random: np.random.Generator, length: int, gc: float) -> str:
    shares = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return "".join(random.choice(list("ACGT"), length, p=shares))


def make_table(rows: int = 60, test: int = 20) -> pd.DataFrame:
    """Rows of 40 to 60 bases; those of class 1 have more G and C."""
    random, number = np.random.default_rng(1), np.arange(rows + test)
    return pd.DataFrame(
        {
            "id": [f"row.{i}" for i in number],
            "sequence": [
                draw(random, random.integers(40, 60), 0.35 + 0.3 * (i % 2)) for i in number
            ],
            "label": number % 2,
            "split": np.where(number < rows, "train", "test"),
            "provenance": "planted",
            "folds": [[int(i // 2 % FOLDS)] if i < rows else [] for i in number],
        }
    )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A probe: its result, the table of its task, and the classifier that is loaded again."""

    table: pd.DataFrame
    result: object
    path: Path
    files: dict
    classifier: object


def train_probe(small_model: dict[str, str], tmp_path: Path, **settings) -> Trained:
    """Embed and probe a task, save the probe, and load it again."""
    table, task = make_table(), str(tmp_path / "mine.x.parquet")
    table.to_parquet(task)
    config = {
        "layers": "all",
        "pooling": "mean",
        "centre_bases": 10,
        "strands": "forward",
        "precision": "float32",
        "dtype": "float32",
        "batch_tokens": 512,
        "shard_rows": 16,
        "too_long": "refuse",
    }
    embedding = Embedding(
        **small_model, table=task, config=EmbedConfig(**(config | settings)), threads=1
    )
    embeddings = tmp_path / "embeddings.safetensors"
    embed_task(embedding, embeddings, tmp_path / "partial", ["cpu"])
    features, metadata = read_embeddings(embeddings, task)
    probing = ProbeConfig(
        penalties=[1e-2, 1.0], max_iterations=500, solver="lbfgs", device="cpu", metric=None
    )
    result = probe(features, table, "binary", probing, threads=1)
    summary = {
        "name": "mine.x",
        "kind": "binary",
        "classes": 2,
        "rows": {"train": 60, "test": 20},
        "names": None,
        "lengths": {"min": 40, "max": 59},
    }
    identity = identify(
        method="probe",
        task=summary,
        table_path=task,
        model="small",
        embeddings=metadata,
        weights_sha256=metadata["weights_sha256"],
    )
    path = tmp_path / "probes" / "mine.x.safetensors"
    save_probe(result, identity, summary, metadata, small_model["run"], path)
    model = load_model(Path(small_model["run"]).parent)
    return Trained(
        table=table,
        result=result,
        path=path,
        files=small_model,
        classifier=load_classifier(model, path.with_suffix("")),
    )


@pytest.fixture
def train(small_model, tmp_path):
    """Return a function that trains a probe on features made with some settings."""

    def make(**settings) -> Trained:
        return train_probe(small_model, tmp_path, **settings)

    return make


@pytest.fixture(scope="session")
def finished(make_model, tmp_path_factory) -> Trained:
    """A probe that tests share; its files are not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    return train_probe(make_model(folder, k=2, layers=2, seed=3), folder)


@pytest.fixture
def trained(finished, tmp_path) -> Trained:
    """The same, its files in a folder of the test's own."""
    model, probes = tmp_path / "model", tmp_path / "probes"
    shutil.copytree(Path(finished.files["run"]).parent, model)
    probes.mkdir()
    path = Path(shutil.copy(finished.path, probes))
    files = {name: str(model / Path(file).name) for name, file in finished.files.items()}
    classifier = load_classifier(load_model(model), path.with_suffix(""))
    return replace(finished, path=path, files=files, classifier=classifier)


@pytest.fixture
def tune(small_model, tmp_path):
    """Return a function that writes adapters of drawn vectors and heads, and loads them.

    Untrained ones of many kinds are as good as trained ones where nothing is scored.
    """

    def make(kind: str, classes: int, names=None):
        torch.manual_seed(3)
        tensors, per_base = {}, kind == "per_base"
        for fold in range(FOLDS):
            for block in range(2):
                for name, width in (
                    ("attention.key", 16),
                    ("attention.value", 16),
                    ("feed_forward.output", 24),
                ):
                    key = f"fold.{fold}.adapter.blocks.{block}.{name}.scale"
                    tensors[key] = 1 + torch.randn(width) / 4
            outputs = classes * (2 if per_base else 1)
            tensors[f"fold.{fold}.head.weight"] = torch.randn(outputs, 16)
            tensors[f"fold.{fold}.head.bias"] = torch.randn(outputs)
            if kind == "regression":
                tensors[f"fold.{fold}.targets.mean"] = torch.full((classes,), 1000.0).double()
                tensors[f"fold.{fold}.targets.deviation"] = torch.full((classes,), 3.0).double()
        weights = Path(small_model["weights"])
        identity = {"method": "ia3", "model": "small", "task": "mine.x"}
        head = {"kind": kind, "classes": classes, "pooling": "mean", "centre_bases": 10}
        outputs = {"kind": kind, "classes": classes, "names": names, "lengths": None}
        metadata = {
            "classifier": json.dumps(head),
            "outputs": json.dumps(outputs),
            "folds": json.dumps(list(range(FOLDS))),
            "identity": json.dumps(identity | {"weights_sha256": sha256_of(weights)}),
        }
        folder = tmp_path / f"tuned.{kind}"
        folder.mkdir()
        save_file(tensors, folder / "adapters.safetensors", metadata)
        return load_classifier(load_model(weights.parent), folder)

    return make
