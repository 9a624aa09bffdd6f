"""Embeddings in the formats of other programs hold what the file of the workflow holds."""

import json

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dnalm.benchmark.embedding.export import export_embeddings
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.model.tensors import read_arrays, save_arrays

LABELS = {"classes": [0, 1, 1, 0], "flags": [[0, 1], [1, 1], [0, 0], [1, 0]]}


def write_task(folder, labels):
    ids = ["train.0", "train.1", "test.0", "test.1"]
    table = pd.DataFrame(
        {
            "id": ids,
            "sequence": ["ACGT"] * 4,
            "label": labels,
            "split": ["train", "train", "test", "test"],
            "provenance": "here",
            "folds": [[0], [1], [], []],
        }
    )
    path, embeddings = folder / "task.parquet", folder / "embeddings.safetensors"
    table.to_parquet(path)
    random = np.random.default_rng(0)
    arrays = {f"layer.{i}": random.normal(size=(4, 3)).astype(np.float32) for i in (2, 10)}
    arrays["ids"] = np.frombuffer(json.dumps(ids).encode(), dtype=np.uint8)
    save_arrays(arrays, embeddings, {"task_sha256": sha256_of(path), "pooling": "mean"})
    return path, embeddings, table


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_parquet_holds_a_list_of_numbers_for_each_layer(tmp_path, labels):
    path, embeddings, table = write_task(tmp_path, labels)
    export_embeddings(embeddings, path, tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found.columns.tolist() == ["id", "label", "split", "layer.2", "layer.10"]
    assert found["id"].tolist() == table["id"].tolist()
    assert [np.asarray(label).tolist() for label in found["label"]] == labels
    for name, array in read_embeddings(embeddings, path)[0].items():
        np.testing.assert_array_equal(np.stack(found[name]), array)
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"pooling"] == b"mean"


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_the_layout_of_anndata_names_every_part(tmp_path, labels):
    path, embeddings, table = write_task(tmp_path, labels)
    export_embeddings(embeddings, path, tmp_path / "out.h5ad")
    layers = read_embeddings(embeddings, path)[0]
    with h5py.File(tmp_path / "out.h5ad") as file:
        assert (file.attrs["encoding-type"], file.attrs["encoding-version"]) == ("anndata", "0.1.0")
        assert set(file) == {"X", "layers", "obs", "obsm", "obsp", "uns", "var", "varm", "varp"}
        np.testing.assert_array_equal(file["X"], layers["layer.10"])
        for name, array in layers.items():
            np.testing.assert_array_equal(file["obsm"][name], array)
        ids = [text.decode() for text in file["obs"][file["obs"].attrs["_index"]]]
        assert ids == table["id"].tolist()
        columns = list(file["obs"].attrs["column-order"])
        names = ["label"] if np.ndim(labels) == 1 else ["label.0", "label.1"]
        assert columns == [*names, "split"]
        found = np.stack([file["obs"][name] for name in names], axis=1)
        np.testing.assert_array_equal(found, np.reshape(labels, (4, -1)))
        assert file["uns"]["layer_of_X"][()] == b"10"
        parts: list = []
        file.visititems(lambda name, part: parts.append("encoding-type" in part.attrs))
        assert all(parts)


def test_anndata_itself_reads_what_is_written(tmp_path):
    anndata = pytest.importorskip("anndata")  # whose releases ask for an older pandas than ours
    path, embeddings, table = write_task(tmp_path, LABELS["classes"])
    export_embeddings(embeddings, path, tmp_path / "out.h5ad")
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs_names.tolist() == table["id"].tolist()
    assert found.obs["label"].tolist() == LABELS["classes"]
    assert found.obs["split"].tolist() == table["split"].tolist()
    np.testing.assert_array_equal(found.X, found.obsm["layer.10"])


def test_embeddings_of_other_rows_are_refused(tmp_path):
    path, embeddings, table = write_task(tmp_path, LABELS["classes"])
    table.iloc[::-1].to_parquet(path)
    with pytest.raises(InputError, match="was made from other rows"):
        export_embeddings(embeddings, path, tmp_path / "out.parquet")
    assert not list(tmp_path.glob("out*"))


def test_the_three_lines_of_the_docs_read_a_file(tmp_path):
    _, embeddings, _ = write_task(tmp_path, LABELS["classes"])
    arrays, _ = read_arrays(embeddings)
    from safetensors.numpy import load_file

    found = load_file(embeddings)
    ids = json.loads(found.pop("ids").tobytes())
    assert ids[0] == "train.0"
    np.testing.assert_array_equal(found["layer.10"], arrays["layer.10"])
