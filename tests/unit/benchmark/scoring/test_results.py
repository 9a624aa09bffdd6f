"""The result triple on disk."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnalm.benchmark.scoring.results import (
    Result,
    identify,
    prediction_arrays,
    prediction_rows,
    write_result,
)
from dnalm.benchmark.tasks.kinds import find_kind

PATHS = {"scores": "task.tsv", "summary": "task.json", "predictions": "task.parquet"}


def make_result() -> Result:
    return Result(
        selected={"feature": "layer.2", "penalty": 0.1},
        edge=False,
        grid=[
            {
                "feature": "layer.2",
                "penalty": 0.1,
                "validation_mcc_mean": 0.5,
                "validation_mcc_sd": 0.01,
                "not_converged": 0,
            }
        ],
        scores=pd.DataFrame(
            {
                "fold": [0, 1],
                "mcc": [1 / 3, 0.25],
                "accuracy": [0.6, 0.7],
                "f1": [0.5, 0.6],
                "auc": [float("nan"), 0.8],
            }
        ),
        predictions=pd.DataFrame(
            {
                "id": ["test.0", "test.1", "test.0", "test.1"],
                "fold": [0, 0, 1, 1],
                "label": [0, 1, 0, 1],
                "prediction": [0, 1, 1, 1],
            }
        ),
        seconds=1.5,
        not_converged=0,
        fitted={},
        computed={"device": "cuda", "precision": "tf32"},
    )


def test_the_three_files_hold_the_result_and_what_led_to_it_is_gone(tmp_path):
    table = tmp_path / "task.parquet"
    table.write_bytes(b"rows")
    paths = {key: tmp_path / "a" / name for key, name in PATHS.items()}
    identity = identify(
        method="probe",
        task={"name": "mine.x", "kind": "binary", "rows": {"train": 8, "test": 2}},
        table_path=table,
        model="small",
        embeddings={"pooling": "mean", "strands": "both", "precision": "bf16", "dtype": "float16"}
        | {"layers": "[1, 2]"},
        weights_sha256="ab12",
    )
    result = make_result()
    partial, another = (tmp_path / "a" / "partial" / name for name in ("task", "another"))
    for folder in (partial, another):
        (folder / "ab12").mkdir(parents=True)
        (folder / "ab12" / "layer.1.json").touch()
    write_result(result, identity, partial=partial, **paths)
    assert not partial.exists()
    assert (another / "ab12" / "layer.1.json").exists()
    # The last task takes the folder that they share with it.
    write_result(result, identity, partial=another, **paths)
    assert not (tmp_path / "a" / "partial").exists()
    facts = json.loads(paths["summary"].read_text())

    scores = pd.read_csv(paths["scores"], sep="\t")
    pd.testing.assert_frame_equal(scores, result.scores, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(paths["predictions"]), result.predictions)
    assert (facts["selected"], facts["edge"], facts["grid"]) == (
        {"feature": "layer.2", "penalty": 0.1},
        False,
        result.grid,
    )
    assert facts["computed"] == {"device": "cuda", "precision": "tf32"}
    assert (facts["splits"], facts["seconds"], facts["not_converged"]) == (2, 1.5, 0)
    assert facts["method"] == "probe"
    assert facts["model"] == "small"
    assert "baseline" not in facts
    assert facts["task"] == "mine.x"
    assert facts["rows"] == {"train": 8, "test": 2}
    assert facts["weights_sha256"] == "ab12"
    made = {"pooling": "mean", "strands": "both", "precision": "bf16", "dtype": "float16"}
    assert facts["embeddings"] == made
    assert facts["task_sha256"] == hashlib.sha256(b"rows").hexdigest()
    assert paths["scores"].read_text().splitlines()[0] == "fold\tmcc\taccuracy\tf1\tauc"


def test_a_baseline_is_named_as_one_and_has_no_weights(tmp_path):
    table = tmp_path / "task.parquet"
    table.write_bytes(b"rows")
    task = {"name": "mine.x", "kind": "binary", "rows": {"train": 8, "test": 2}}
    identity = identify(method="baseline", task=task, table_path=table, baseline="kmers")
    assert identity["baseline"] == "kmers"
    assert identity["weights_sha256"] is None
    assert "model" not in identity


def test_what_led_to_a_result_stays_where_it_cannot_be_written(tmp_path):
    partial = tmp_path / "partial"
    partial.mkdir()
    (tmp_path / "task.json").mkdir()  # the summary's own name, written last, is taken
    paths = {key: tmp_path / name for key, name in PATHS.items()}
    with pytest.raises(OSError, match=r"task\.json"):
        write_result(make_result(), {"kind": "binary"}, partial=partial, **paths)
    assert partial.exists()


def test_a_score_that_is_not_defined_is_null_in_the_summary(tmp_path):
    result = make_result()
    result.grid.append(result.grid[0] | {"penalty": 1.0, "validation_mcc_mean": float("nan")})
    paths = {key: tmp_path / name for key, name in PATHS.items()}
    names = {"method": "probe", "model": "small", "task": "mine.x", "kind": "binary"}
    write_result(result, names, **paths)
    grid = json.loads(paths["summary"].read_text(), parse_constant=pytest.fail)["grid"]
    assert [row["validation_mcc_mean"] for row in grid] == [0.5, None]


@pytest.mark.parametrize("kind", ["multilabel", "per_base"])
def test_probabilities_of_many_labels_are_kept_in_float32(tmp_path, kind):
    random = np.random.default_rng(0)
    lengths = [3, 3, 3] if kind == "multilabel" else [3, 1, 2]
    labels = [random.integers(2, size=length) for length in lengths]
    test = pd.DataFrame({"id": ["a", "b", "c"], "label": labels})
    given = random.random((3, 3) if kind == "multilabel" else (3, 3, 2))
    decided = find_kind(kind).decide(given)
    rows = prediction_rows(test, 0, decided, given)
    rows.to_parquet(tmp_path / "rows")
    stored = pq.read_schema(tmp_path / "rows").field("probability.1").type
    assert stored in (pa.float32(), pa.list_(pa.float32()))
    back = pd.read_parquet(tmp_path / "rows")
    truth, predictions, probabilities = prediction_arrays(back, kind)
    assert probabilities.dtype == np.float32
    known = truth >= 0
    np.testing.assert_array_equal(truth[known], np.concatenate(labels))
    np.testing.assert_array_equal(predictions[known], decided[known])
    np.testing.assert_array_equal(probabilities[known], given.astype(np.float32)[known])
