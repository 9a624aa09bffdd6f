"""Labels in a second file, joined by the order of rows: DeepSTARR's files, and what is refused."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import make_task
from dnalm.errors import InputError

TARGETS = ["Dev_log2_enrichment", "Hk_log2_enrichment"]
TASK = {
    "format": "auto",
    "kind": "regression",
    "classes": 2,
    "sequence_column": "sequence",
    "label_column": TARGETS,
    "label_pattern": "(x)",
    "shuffle_labels": False,
    "seed": 42,
}
GIVEN = {
    "scheme": "given",
    "splits": 3,
    "validation_share": 0.1,
    "group": None,
    "validation": ["validation"],
    "seed": 42,
}
ROWS = {"train": 12, "validation": 4, "test": 5}


def write_pair(folder: Path, role: str, rows: int, labels: int | None = None) -> dict[str, str]:
    """Write what Zenodo's record holds: FASTA, and six columns of activity without an identifier.

    The target of row i is i, and of the sequence: its Dev is its share of C, its Hk that of G.
    """
    random = np.random.default_rng(len(role))
    sequences = ["".join(random.choice(list("ACGT"), 249)) for _ in range(rows)]
    fasta = folder / f"Sequences_{role}.fa"
    headers = [f"chr2L_{i}_{i + 249}_+_positive_peak" for i in range(rows)]
    pairs = zip(headers, sequences, strict=True)
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in pairs))
    rows = [sequences[i % len(sequences)] for i in range(rows if labels is None else labels)]
    table = pd.DataFrame(
        {
            "Dev_log2_enrichment": [text.count("C") / 249 for text in rows],
            "Hk_log2_enrichment": [text.count("G") / 249 for text in rows],
            "Dev_log2_enrichment_scaled": -1.0,
            "Hk_log2_enrichment_scaled": -2.0,
        }
    )
    labels_path = folder / f"Sequences_activity_{role}.txt"
    table.to_csv(labels_path, sep="\t", index=False)
    return {role: str(fasta), f"{role}_labels": str(labels_path)}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        key: path
        for role, rows in ROWS.items()
        for key, path in write_pair(tmp_path, role, rows).items()
    }


def test_row_i_of_a_second_file_is_the_label_of_sequence_i(files):
    table, summary = make_task(files, TASK, "deepstarr.activity", GIVEN)
    assert len(table) == sum(ROWS.values())
    for sequence, label in zip(table["sequence"], table["label"], strict=True):
        assert label.tolist() == [sequence.count("C") / 249, sequence.count("G") / 249]
    assert summary["names"] == TARGETS
    assert {source["role"] for source in summary["sources"]} == set(files)


def test_given_validation_rows_are_those_of_every_split(files):
    table, summary = make_task(files, TASK, "deepstarr.activity", GIVEN)
    splits = list(Splits(table, "regression"))
    assert len(splits) == 3
    for split in splits:
        held = table.iloc[split.validation]["provenance"]
        assert held.str.startswith("Sequences_validation.fa").all()
        assert (len(split.validation), len(split.training)) == (4, 12)
    assert summary["rows"] == {"train": 16, "test": 5}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_sequences_and_labels_may_be_tables_of_any_format(files, tmp_path, suffix):
    expected, _ = make_task(files, TASK, "deepstarr.activity", GIVEN)
    labels = pd.read_csv(files["train_labels"], sep="\t")
    moved = tmp_path / f"labels{suffix}"
    labels.to_csv(moved, index=False) if suffix == ".csv" else labels.to_parquet(moved)
    lines = Path(files["train"]).read_text().split()
    sequences = tmp_path / "sequences.csv"
    pd.DataFrame({"sequence": lines[1::2]}).to_csv(sequences, index=False)
    changed = {**files, "train": str(sequences), "train_labels": str(moved)}
    table, _ = make_task(changed, TASK, "deepstarr.activity", GIVEN)
    assert table["sequence"].tolist() == expected["sequence"].tolist()
    np.testing.assert_array_equal(np.stack(table["label"]), np.stack(expected["label"]))


def test_unequal_numbers_are_refused_with_both_and_the_first_and_last_header(files, tmp_path):
    files |= write_pair(tmp_path, "train", 12, labels=11)
    with pytest.raises(InputError) as error:
        make_task(files, TASK, "deepstarr.activity", GIVEN)
    text = str(error.value)
    assert "has 12 sequences, from 'chr2L_0_249_+_positive_peak' to 'chr2L_11_260" in text
    assert "Sequences_activity_train.txt has 11 rows of labels" in text


def test_the_first_and_the_last_pair_are_logged(files, caplog):
    with caplog.at_level(logging.INFO):
        make_task(files, TASK, "deepstarr.activity", GIVEN)
    (line,) = [r.getMessage() for r in caplog.records if "train.fa: labels are" in r.getMessage()]
    assert "'chr2L_0_249_+_positive_peak' with" in line
    assert "'chr2L_11_260_+_positive_peak' with" in line


def test_a_missing_column_and_labels_in_fasta_are_refused(files):
    with pytest.raises(InputError, match=r"has no column 'Dev'.*set `label_column`"):
        make_task(files, {**TASK, "label_column": ["Dev", "Hk"]}, "deepstarr.activity", GIVEN)
    with pytest.raises(InputError, match=r"is FASTA, and labels_file of the task names tables"):
        make_task({**files, "test_labels": files["test"]}, TASK, "deepstarr.activity", GIVEN)


@pytest.mark.parametrize(
    ("cell", "said"), [("high", "has the label 'high'"), ("", "has no label"), ("inf", "no finite")]
)
def test_a_wrong_label_is_named_with_the_file_that_holds_it(files, cell, said):
    path = Path(files["train_labels"])
    header, first, *rows = path.read_text().splitlines()
    second = "\t".join([cell, *rows[0].split("\t")[1:]])
    path.write_text("\n".join([header, first, second, *rows[1:]]) + "\n")
    with pytest.raises(InputError, match=rf"Sequences_activity_train.txt, row 2 has .*{said[4:]}"):
        make_task(files, TASK, "deepstarr.activity", GIVEN)


def test_correlations_of_two_targets_are_those_of_the_worked_example():
    truth = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    predicted = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 2.0], [3.0, 3.0]])
    scores = score(truth, predicted, None, "regression")
    assert scores["pearson_mean"] == pytest.approx((0.8 + 1.0) / 2)
    assert scores["spearman_mean"] == pytest.approx((0.8 + 1.0) / 2)
