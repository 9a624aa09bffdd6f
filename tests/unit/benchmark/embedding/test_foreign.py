"""Embeddings of other programs are brought into the task's order, or refused in one sentence."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from dnalm.benchmark.embedding.export import export_embeddings
from dnalm.benchmark.embedding.foreign import import_embeddings
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.errors import InputError

IDS = ["train.0", "train.1", "test.0", "test.1"]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
OTHER_ORDER = [2, 0, 3, 1]


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "task.parquet"
    columns = {"id": IDS, "sequence": ["ACGT"] * 4, "label": [0, 1, 0, 1]}
    columns |= {"split": ["train", "train", "test", "test"], "folds": [[0], [1], [], []]}
    pd.DataFrame(columns).to_parquet(path)
    return path


def write_parquet(path, ids=IDS, vectors=VECTORS, name="vector"):
    pd.DataFrame({"id": list(ids), name: list(vectors), "label": [1] * len(ids)}).to_parquet(path)
    return path


def write_safetensors(path, ids=IDS, vectors=VECTORS):
    text = np.frombuffer(json.dumps(list(ids)).encode(), dtype=np.uint8).copy()
    save_file({"ids": text, "last": np.ascontiguousarray(vectors)}, path)
    return path


@pytest.mark.parametrize("write", [write_parquet, write_safetensors])
def test_rows_are_found_by_their_ids(task, tmp_path, write):
    ids = [IDS[i] for i in OTHER_ORDER]
    source = write(tmp_path / "mine", ids, VECTORS[OTHER_ORDER])
    import_embeddings(source, task, tmp_path / "out.safetensors")
    layers, metadata = read_embeddings(tmp_path / "out.safetensors", task)
    assert list(layers) == ["layer.1"]
    np.testing.assert_array_equal(layers["layer.1"], VECTORS)
    assert metadata["pooling"] == "unknown"


def test_what_was_exported_can_be_imported(task, tmp_path):
    import_embeddings(write_parquet(tmp_path / "mine"), task, tmp_path / "one.safetensors")
    export_embeddings(tmp_path / "one.safetensors", task, tmp_path / "two.parquet")
    import_embeddings(tmp_path / "two.parquet", task, tmp_path / "three.safetensors")
    for name in ("one", "three"):
        layers, _ = read_embeddings(tmp_path / f"{name}.safetensors", task)
        np.testing.assert_array_equal(layers["layer.1"], VECTORS)


def test_layers_that_bear_numbers_keep_them(task, tmp_path):
    source = write_parquet(tmp_path / "mine", name="layer.12")
    import_embeddings(source, task, tmp_path / "out.safetensors")
    assert list(read_embeddings(tmp_path / "out.safetensors", task)[0]) == ["layer.12"]


@pytest.mark.parametrize("write", [write_parquet, write_safetensors])
@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["train.0", "train.1", "test.0", "test.0"], r"1 ids stand there .*'test\.0'"),
        (["train.0", "train.1", "test.0", "x"], r"1 ids of .* are missing \(first: 'test\.1'"),
        ([*IDS, "test.2"], r"1 ids are none of .*'test\.2'"),
    ],
)
def test_ids_that_do_not_match_are_named(task, tmp_path, write, ids, sentence):
    vectors = np.zeros((len(ids), 3), dtype=np.float32)
    with pytest.raises(InputError, match=sentence):
        import_embeddings(write(tmp_path / "mine", ids, vectors), task, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"name": IDS, "v": list(VECTORS)}, "has no column 'id', its columns are 'name', 'v'"),
        ({"id": IDS, "v": [[1.0], [1.0, 2.0], [1.0], [1.0]]}, "lists of v are not all of one"),
        ({"id": IDS, "v": [[1.0], None, [1.0], [1.0]]}, "lists of v are not all of one"),
        ({"id": IDS, "v": [[1.0], [np.nan], [1.0], [1.0]]}, "numbers that are not finite"),
        ({"id": IDS, "v": [1.0, 2.0, 3.0, 4.0]}, "holds no lists of numbers"),
    ],
)
def test_other_tables_are_refused(task, tmp_path, table, sentence):
    pd.DataFrame(table).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(InputError, match=sentence):
        import_embeddings(tmp_path / "mine.parquet", task, tmp_path / "out")


def test_other_files_are_refused(task, tmp_path):
    save_file({"x": VECTORS}, tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match="has no array 'ids'"):
        import_embeddings(tmp_path / "bare.safetensors", task, tmp_path / "out")
    (tmp_path / "text").write_text("id,vector\n")
    with pytest.raises(InputError, match="cannot be read as embeddings"):
        import_embeddings(tmp_path / "text", task, tmp_path / "out")
    with pytest.raises(InputError, match="is a folder"):
        import_embeddings(tmp_path, task, tmp_path / "out")
    text = np.frombuffer(json.dumps(IDS).encode(), dtype=np.uint8).copy()
    save_file({"ids": text}, tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="holds no lists of numbers"):
        import_embeddings(tmp_path / "none.safetensors", task, tmp_path / "out")
    short = write_safetensors(tmp_path / "short.safetensors", IDS, VECTORS[:3])
    with pytest.raises(InputError, match=r"layer\.1 has the shape \(3, 3\), not \[4, D\]"):
        import_embeddings(short, task, tmp_path / "out")


@pytest.mark.parametrize("write", [write_parquet, write_safetensors])
def test_numbers_that_float32_does_not_hold_are_refused(task, tmp_path, write):
    vectors = VECTORS.astype(np.float64)
    vectors[2, 1] = 1e300
    with pytest.raises(InputError, match="not finite in float32"):
        import_embeddings(write(tmp_path / "mine", vectors=vectors), task, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.int8, torch.int64, torch.bool])
def test_arrays_that_numpy_has_not_or_that_stand_for_other_numbers_are_named(task, tmp_path, kind):
    ids = torch.tensor(list(json.dumps(IDS).encode()), dtype=torch.uint8)
    save_tensors({"ids": ids, "v": torch.ones(4, 3).to(kind)}, tmp_path / "mine.safetensors")
    with pytest.raises(
        InputError, match=r"the array 'v' is of the type (BF16|I8|I64|BOOL), of F64"
    ):
        import_embeddings(tmp_path / "mine.safetensors", task, tmp_path / "out")


def test_whole_numbers_in_lists_are_no_vectors(task, tmp_path):
    pd.DataFrame({"id": IDS, "v": [[1, 2]] * 4}).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(InputError, match="no lists of numbers of floating point"):
        import_embeddings(tmp_path / "mine.parquet", task, tmp_path / "out")


def test_arrays_stand_in_the_order_of_the_numbers_in_their_names(task, tmp_path):
    text = np.frombuffer(json.dumps(IDS).encode(), dtype=np.uint8)
    arrays = {f"hidden.{i}": np.full((4, 2), i, dtype=np.float32) for i in (10, 9, 11, 2)}
    save_file(arrays | {"ids": text}, tmp_path / "mine.safetensors")
    import_embeddings(tmp_path / "mine.safetensors", task, tmp_path / "out")
    layers, metadata = read_embeddings(tmp_path / "out", task)
    assert [array[0, 0] for array in layers.values()] == [2, 9, 10, 11]
    assert json.loads(metadata["layers"]) == [1, 2, 3, 4]


def test_a_pipe_is_refused_at_once(task, tmp_path):
    os.mkfifo(tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match="is a pipe"):
        import_embeddings(tmp_path / "mine.safetensors", task, tmp_path / "out")


@pytest.mark.parametrize("write", [write_parquet, write_safetensors])
def test_vectors_of_no_number_are_refused(task, tmp_path, write):
    source = write(tmp_path / "mine", vectors=VECTORS[:, :0])
    with pytest.raises(InputError, match=r"has the shape \(4, 0\)"):
        import_embeddings(source, task, tmp_path / "out")


@pytest.mark.parametrize("ids", ["5", '{"train.0": 1}', '"ab"', "null"])
def test_ids_that_are_no_list_are_refused(task, tmp_path, ids):
    text = np.frombuffer(ids.encode(), dtype=np.uint8).copy()
    save_file({"ids": text, "last": VECTORS}, tmp_path / "mine")
    with pytest.raises(InputError, match="ids is no JSON list"):
        import_embeddings(tmp_path / "mine", task, tmp_path / "out")


@pytest.mark.parametrize("name", ["layer.١", "layer.01", f"layer.{'9' * 5000}", "layer.-1"])
def test_layers_with_odd_numbers_are_named_by_their_place(task, tmp_path, name):
    source = write_parquet(tmp_path / "mine", name=name)
    import_embeddings(source, task, tmp_path / "out.safetensors")
    assert list(read_embeddings(tmp_path / "out.safetensors", task)[0]) == ["layer.1"]
