"""Tasks embedded by a model that is not ours: pooled by its spans, checked, and told what it is."""

import json

import numpy as np
import pandas as pd
import pytest
import toy_embedder

from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.embedders import EmbedderEmbedding, describe_embedder
from dnalm.benchmark.embedding.shards import embed_task
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.errors import InputError
from dnalm.model.embedders.opening import locate_embedder

SEQUENCES = ["ACGTACG", "NNACGTT", "TTTTTTTTTTTTTTT", "GATTACA", "C"]
TOY = {"call": "toy_embedder:open_one_hot", "options": {}}
RIGHTS = {"source": None, "licence": "mit", "citation": None}


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "task.parquet"
    rows = len(SEQUENCES)
    columns = {"id": [f"row.{row}" for row in range(rows)], "sequence": SEQUENCES}
    columns |= {"label": [0] * rows, "split": ["train"] * rows, "provenance": ["here"] * rows}
    pd.DataFrame(columns | {"folds": [[0]] * rows}).to_parquet(path)
    return path


def embed(tmp_path, task, entry, name="out.safetensors", **settings):
    """Describe and embed as the two rules do; return layers and metadata."""
    described = tmp_path / "embedder.json"
    describe_embedder(entry, {"model": "toy", **RIGHTS}, "cpu", described)
    config = {"layers": "all", "pooling": "mean", "centre_bases": 4, "strands": "forward"}
    config |= {"precision": "float32", "dtype": "float32", "batch_tokens": 16, "shard_rows": 2}
    config |= {"too_long": "refuse"}
    job = EmbedderEmbedding(
        entry=entry, described=str(described), table=str(task), threads=1, rights=RIGHTS,
        config=EmbedConfig(**config | settings),
    )  # fmt: skip
    embed_task(job, tmp_path / name, tmp_path / "partial", ["cpu"])
    return read_embeddings(tmp_path / name, task)


def composition(sequence):
    known = sequence.replace("N", "")
    return [known.count(base) / len(known) for base in toy_embedder.ALPHABET]


@pytest.fixture
def importable(monkeypatch):
    """The toy package, for processes too, which get their paths by the environment."""
    monkeypatch.setenv("PYTHONPATH", str(toy_embedder.__file__).rpartition("/")[0], prepend=":")


def test_layers_are_pooled_over_real_bases_in_the_order_of_the_table(importable, tmp_path, task):
    layers, metadata = embed(tmp_path, task, TOY)
    assert list(layers) == ["layer.1", "layer.2"]
    expected = [composition(sequence) for sequence in SEQUENCES]
    np.testing.assert_allclose(layers["layer.1"], expected, rtol=1e-6)
    assert (metadata["embedder"], metadata["licence"]) == ("toy_embedder:open_one_hot", "mit")
    assert metadata["citation"] == ""


def test_both_strands_are_averaged(importable, tmp_path, task):
    layers, _ = embed(tmp_path, task, TOY, strands="both")
    a, c, g, t, n = np.array([composition(sequence) for sequence in SEQUENCES]).T
    expected = np.stack([(a + t) / 2, (c + g) / 2, (c + g) / 2, (a + t) / 2, n], axis=1)
    np.testing.assert_allclose(layers["layer.1"], expected, rtol=1e-6)


def test_what_is_described_is_the_model_and_what_was_checked(importable, tmp_path, task):
    _, metadata = embed(tmp_path, task, TOY)
    facts = json.loads((tmp_path / "embedder.json").read_text())
    assert (facts["model"], facts["licence"]) == ("toy", "mit")
    assert (facts["layers"], facts["width"], facts["max_bases"]) == (2, 5, None)
    assert facts["check"]["bases"] == facts["check"]["tokens"] == [24, 61, 150, 300]
    assert facts["check"]["difference"] == 0 < facts["check"]["tolerance"]
    assert facts["weights_sha256"] == metadata["weights_sha256"]


def test_a_row_over_the_longest_input_is_named(importable, tmp_path, task):
    with pytest.raises(InputError, match=r"row row.2 \(here\) has 15 bases, .* at most 14 bases"):
        embed(tmp_path, task, TOY | {"options": {"max_bases": 14}})


class Miscounting(toy_embedder.OneHot):
    """Counts the two special tokens that it does not give."""

    def count_tokens(self, sequences):
        return [len(sequence) + 2 for sequence in sequences]


def test_counts_that_are_not_those_of_the_states_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        toy_embedder, "open_one_hot", lambda device, **options: Miscounting(None, 1)
    )
    with pytest.raises(InputError, match=r"has 26 tokens .* of 24 bases, but states of 24"):
        describe_embedder(TOY, {"model": "toy", **RIGHTS}, "cpu", tmp_path / "embedder.json")
    assert not (tmp_path / "embedder.json").exists()


def test_the_token_table_is_no_layer_of_an_embedder(importable, tmp_path, task):
    with pytest.raises(InputError, match=r"embed.layers has 0, the token table"):
        embed(tmp_path, task, TOY, layers=[0, 1])


def test_files_of_a_hub_are_opened_where_they_were_fetched():
    entry = {"transformers": "lab/model", "imports": []}
    files = {"weights": ["d/x/model.safetensors"], "settings": "d/x/config.json"}
    assert locate_embedder(entry, files) == {"transformers": "d/x", "imports": []}
    assert locate_embedder(TOY, {}) == TOY
