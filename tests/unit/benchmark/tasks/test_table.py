"""Task tables from labelled files: what is read, cleaned, counted and refused."""

import gzip
import hashlib
import random
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from dnalm.benchmark.tasks.table import make_task, read_task, write_task
from dnalm.errors import InputError
from dnalm.files import read_json

FOLDS = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 42}
TASK = {
    "format": "auto",
    "kind": "binary",
    "classes": 2,
    "sequence_column": "sequence",
    "label_column": "label",
    "shuffle_labels": False,
    "seed": 42,
}


def rows_of(number, seed):
    """Return different sequences with labels 0 and 1 in turn."""
    draw = random.Random(seed)
    return [("".join(draw.choices("ACGT", k=30)), i % 2) for i in range(number)]


def write_csv(path, rows, header="sequence,label", separator=","):
    lines = [header, *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def files(tmp_path):
    return {
        "train": write_csv(tmp_path / "train.csv", rows_of(12, 1)),
        "test": write_csv(tmp_path / "test.csv", rows_of(6, 2)),
    }


def make(files, **changes):
    return make_task(files, {**TASK, **changes}, "mine.x", FOLDS)


def test_table_holds_the_rows_of_the_files_in_order(files):
    table, summary = make(files)
    assert list(table.columns) == ["id", "sequence", "label", "split", "provenance", "folds"]
    assert list(zip(table["sequence"], table["label"], strict=True)) == rows_of(12, 1) + rows_of(
        6, 2
    )
    assert list(table["split"]) == ["train"] * 12 + ["test"] * 6
    assert table["id"].is_unique
    first = [f"{Path(files[split]).name}, row 1" for split in ("train", "test")]
    assert table["provenance"].iloc[[0, 12]].tolist() == first
    assert [len(folds) for folds in table["folds"]] == [1] * 12 + [0] * 6
    assert summary["rows"] == {"train": 12, "test": 6}
    assert summary["rows_per_class"] == {"train": [6, 6], "test": [3, 3]}
    assert summary["lengths"] == {"min": 30, "median": 30.0, "max": 30}
    assert summary["simulated"] is False


def test_written_table_reads_back_equal_and_its_hash_is_in_the_summary(files, tmp_path):
    table, summary = make(files)
    write_task(table, summary, tmp_path / "t.parquet", tmp_path / "t.json")
    back = read_task(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert back["folds"].tolist() == table["folds"].tolist()
    written = read_json(tmp_path / "t.json")
    assert written["sha256"] == hashlib.sha256((tmp_path / "t.parquet").read_bytes()).hexdigest()
    train = hashlib.sha256(Path(files["train"]).read_bytes()).hexdigest()
    assert written["sources"][0] == {"role": "train", "path": files["train"], "sha256": train}
    assert (
        not pq.read_schema(tmp_path / "t.parquet").field("folds").type.value_type.equals("string")
    )


def test_files_with_another_sha256_than_the_config_gives_are_refused(files, tmp_path):
    sums = {
        split: hashlib.sha256(Path(path).read_bytes()).hexdigest() for split, path in files.items()
    }
    expected, _ = make(files)
    table, _ = make(files, sha256=sums)
    pd.testing.assert_frame_equal(table, expected)
    with pytest.raises(InputError, match=r"test\.csv has the sha256 .*task mine\.x expects 0000"):
        make(files, sha256={"test": "0" * 64})
    more = files | {"train": [files["train"], write_csv(tmp_path / "more.csv", rows_of(4, 3))]}
    with pytest.raises(InputError, match=r"2 train files and one sha256.*leave sha256\.train out"):
        make(more, sha256=sums)
    make(more, sha256={"test": sums["test"]})


def test_all_formats_give_the_same_table(files, tmp_path):
    expected, _ = make(files)
    train, test = rows_of(12, 1), rows_of(6, 2)
    fasta = tmp_path / "train.fna.gz"
    with gzip.open(fasta, "wt") as file:
        for i, (sequence, label) in enumerate(train):
            file.write(f">promoter_{i}|{label}\n{sequence[:20]}\n{sequence[20:]}\n")
    pd.DataFrame(test, columns=["dna", "class"]).to_parquet(tmp_path / "test.parquet")
    write_csv(tmp_path / "test.tsv", test, "dna\tclass", "\t")
    for train_file, test_file, keys in (
        (fasta, files["test"], {"label_pattern": r"([0-9]+)\s*$"}),
        (fasta, tmp_path / "test.parquet", {"label_pattern": r"\|(\d)$"}),
        (tmp_path / "test.tsv", tmp_path / "test.parquet", {}),
    ):
        columns = (
            {}
            if test_file == files["test"]
            else {"sequence_column": "dna", "label_column": "class"}
        )
        table, _ = make({"train": str(train_file), "test": str(test_file)}, **keys, **columns)
        if train_file == fasta:
            assert table["sequence"].tolist() == expected["sequence"].tolist()
            assert table["label"].tolist() == expected["label"].tolist()
        else:
            half = len(table) // 2
            assert table["sequence"].tolist()[:half] == table["sequence"].tolist()[half:]


def test_numbers_and_an_index_name_columns_of_a_parquet_file_as_texts_do(files, tmp_path):
    expected, _ = make(files)
    paths = {split: str(tmp_path / f"{split}.parquet") for split in files}
    for split, rows in (("train", rows_of(12, 1)), ("test", rows_of(6, 2))):
        pd.DataFrame(rows, columns=[7, 8]).to_parquet(paths[split])
    table, _ = make(paths, sequence_column="7", label_column="8")
    assert table["sequence"].equals(expected["sequence"])
    assert table["label"].equals(expected["label"])
    with pytest.raises(InputError, match=r"no column 'sequence', its columns are '7', '8': set"):
        make(paths)
    for split, rows in (("train", rows_of(12, 1)), ("test", rows_of(6, 2))):
        pd.DataFrame(rows, columns=["sequence", "label"]).set_index("sequence").to_parquet(
            paths[split]
        )
    table, _ = make(paths)
    assert table["sequence"].equals(expected["sequence"])
    pd.DataFrame().to_parquet(paths["train"])
    with pytest.raises(InputError, match=r"no column 'sequence', its columns are "):
        make(paths)


def test_a_table_does_not_depend_on_the_folder_of_its_files(files, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = {split: shutil.copy(path, tmp_path / "elsewhere") for split, path in files.items()}
    pd.testing.assert_frame_equal(make(files)[0], make(moved)[0])


def test_several_files_of_a_split_are_joined(files, tmp_path):
    dev = write_csv(tmp_path / "dev.csv", rows_of(4, 3))
    table, _ = make({**files, "train": [files["train"], dev]})
    assert table["provenance"].iloc[12] == "dev.csv, row 1"
    assert table["provenance"].is_unique
    assert table["id"].is_unique
    assert (table["split"] == "train").sum() == 16


def test_parts_of_a_split_that_are_not_named_are_warned_of(files, tmp_path, caplog):
    parts = [f"train-0000{n}-of-00003.csv" for n in range(3)]
    paths = [write_csv(tmp_path / part, rows_of(12, 3 + n)) for n, part in enumerate(parts)]
    _, summary = make(files | {"train": paths})
    assert summary["rows"]["train"] == 36
    assert caplog.text == ""
    make(files | {"train": paths[1]})
    assert f"train rows are those of {parts[1]}, not of {parts[0]}, {parts[2]}: name" in caplog.text
    caplog.clear()
    converted = [str(tmp_path / f"000{n}.parquet") for n in range(2)]
    for n, path in enumerate(converted):
        pd.DataFrame(rows_of(12, 3 + n), columns=["sequence", "label"]).to_parquet(path)
    make(files | {"train": converted})
    assert caplog.text == ""


def test_lower_case_becomes_upper_and_iupac_becomes_n_and_is_counted(files, tmp_path):
    train = rows_of(12, 1)
    train[0] = ("acgtRYacgt", 0)
    files["train"] = write_csv(tmp_path / "train.csv", train)
    table, summary = make(files)
    assert table["sequence"].iloc[0] == "ACGTNNACGT"
    assert summary["iupac_replaced"] == 2


def test_labels_are_mapped_by_the_config(files, tmp_path):
    train = [(sequence, ["no", "yes"][label]) for sequence, label in rows_of(12, 1)]
    files["train"] = files["test"] = write_csv(tmp_path / "train.csv", train)
    table, _ = make(files, labels={"no": 0, "yes": 1})
    assert table["label"].tolist() == [0, 1] * 12
    with pytest.raises(
        InputError, match=r"train.csv, row 2 has the label 'yes', .* \(it lists no\)"
    ):
        make(files, labels={"no": 0})


def test_repeated_rows_are_counted_reported_and_kept(files, tmp_path, caplog):
    train, test = rows_of(12, 1), rows_of(6, 2)
    turned = train[0][0].translate(str.maketrans("ACGT", "TGCA"))[::-1]
    files["train"] = write_csv(tmp_path / "train.csv", [*train, (turned, 0), (train[0][0], 0)])
    files["test"] = write_csv(tmp_path / "test.csv", [*test, (turned, 0), train[1], test[0]])
    table, summary = make(files)
    assert len(table) == 14 + 9
    assert summary["duplicates"] == {"within_train": 2, "within_test": 1, "across": 2}
    assert "2 test rows a training row" in caplog.text


def test_shuffled_labels_keep_the_counts_and_lose_the_order(files, tmp_path):
    files["train"] = write_csv(tmp_path / "train.csv", rows_of(200, 1))
    plain, _ = make(files)
    shuffled, summary = make(files, shuffle_labels=True)
    assert summary["shuffled_labels"] is True
    assert shuffled["sequence"].tolist() == plain["sequence"].tolist()
    for split in ("train", "test"):
        counts = [t.loc[t["split"] == split, "label"].sum() for t in (plain, shuffled)]
        assert counts[0] == counts[1]
    agree = (shuffled["label"] == plain["label"])[:200].mean()
    assert 0.3 < agree < 0.7


def test_published_row_counts_are_compared(files):
    assert make(files)[1]["published_rows_match"] is None
    assert make(files, rows={"train": 12, "test": 6})[1]["published_rows_match"] is True
    assert make(files, rows={"train": 12, "test": 7})[1]["published_rows_match"] is False


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("ACGT", "1.5"), r"train.csv, row 3 has the label '1.5', which is not an integer: map it"),
        (("ACGT", ""), r"train.csv, row 3 has no label \(found ''\), one of 1 such rows"),
        (("ACGT", "2"), r"train.csv, row 3 has the label 2, but 2 classes allow only 0 to 1"),
        (("ACGT", "-1"), r"train.csv, row 3 has the label -1"),
        (("", "1"), r"train.csv, row 3 has an empty sequence"),
        (("ACGEACGT", "1"), r"train.csv, row 3 holds 'E' in its sequence: write DNA"),
        (("ACG-T", "1"), r"train.csv, row 3 holds '-'"),
    ],
)
def test_a_bad_row_is_named_with_its_file_and_number(files, tmp_path, row, sentence):
    rows = rows_of(12, 1)
    rows[2] = row
    files["train"] = write_csv(tmp_path / "train.csv", rows)
    with pytest.raises(InputError, match=sentence):
        make(files)


def test_a_missing_column_is_named_with_the_key_and_what_is_there(files):
    with pytest.raises(
        InputError, match=r"no column 'seq', .* 'sequence', 'label': set `sequence_"
    ):
        make(files, sequence_column="seq")
    with pytest.raises(InputError, match=r"no column 'class', .*: set `label_column`"):
        make(files, label_column="class")


def test_an_empty_split_is_named(files, tmp_path):
    files["test"] = write_csv(tmp_path / "test.csv", [])
    with pytest.raises(InputError, match=r"mine.x has no test rows \(.*test.csv\): give it"):
        make(files)
    (tmp_path / "train.csv").write_text("")
    with pytest.raises(InputError, match=r"train.csv is empty: fetch it again"):
        make(files)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_rows_is_named(files, tmp_path, split, classes):
    for name in files:
        kept = classes - (name == split)
        rows = [(sequence, i % kept) for i, (sequence, _) in enumerate(rows_of(12, 5))]
        files[name] = write_csv(tmp_path / f"{name}.csv", rows)
    sentence = rf"mine\.x has {classes} .* 12 {split} rows .* of class {classes - 1}: add rows"
    with pytest.raises(InputError, match=sentence):
        make(files, classes=classes)


def test_what_is_no_task_file_is_named(files, tmp_path):
    page = tmp_path / "train.fa"
    page.write_text("<!DOCTYPE html>\n<html></html>\n")
    with pytest.raises(InputError, match=r"train\.fa is a web page, not a fasta file"):
        make({**files, "train": str(page)}, label_pattern="(.)$")
    page.write_text("ACGT\n")
    with pytest.raises(InputError, match="line 1: sequence or text before the first '>'"):
        make({**files, "train": str(page)}, label_pattern="(.)$")
    with pytest.raises(InputError, match="set `label_pattern`"):
        make({**files, "train": str(page)})
    page.write_text(">one\nACGT\n")
    with pytest.raises(InputError, match=r"the header '>one' does not match `label_pattern`"):
        make({**files, "train": str(page)}, label_pattern=r"(\d)$")
    with pytest.raises(InputError, match="ending that names no format"):
        make({**files, "train": str(tmp_path / "train.xls")})
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(Path(files["train"]).read_bytes())[:-20])
    with pytest.raises(InputError, match=r"cut.csv.gz cannot be read \(.*\): fetch the file again"):
        make({**files, "train": str(cut)})
    (tmp_path / "no.parquet").write_text("PAR0")
    with pytest.raises(InputError, match="is not a parquet file"):
        make({**files, "train": str(tmp_path / "no.parquet")})


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_an_empty_file_and_a_web_page_are_called_so(files, tmp_path, ending):
    path = tmp_path / f"other.{ending}"
    page = b"\n<!DOCTYPE html>\n<html><body>Not found, sorry</body></html>\n"
    for data, sentence in ((b"", "is empty"), (page, "is a web page, not a")):
        path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
        with pytest.raises(InputError, match=rf"other\.{ending} {sentence}"):
            make({**files, "train": str(path)})


def test_a_folder_is_called_a_folder(files, tmp_path):
    for name in ("mine", "mine.parquet"):
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=rf"{name} is a folder: give the path of a file"):
            make({**files, "train": str(tmp_path / name)})
        with pytest.raises(InputError, match=rf"{name} is a folder: give the path of a file"):
            make({**files, "train": str(tmp_path / name)}, sha256={"train": "0" * 64})


@pytest.mark.parametrize(
    ("separator", "sentence"),
    [
        (";", r"train.csv: its columns are separated by ';', not by ',': use ','"),
        ("\t", r"separated by '\\t', not by ',': set `format` of the task to tsv"),
    ],
)
def test_another_separator_is_named(files, tmp_path, separator, sentence):
    header = f"sequence{separator}label"
    files["train"] = write_csv(tmp_path / "train.csv", rows_of(12, 1), header, separator)
    with pytest.raises(InputError, match=sentence):
        make(files)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ACGT,1,x", "line 5: 3 cells under a header of 2: correct"),
        ("ACGT", "line 5: 1 cells under a header of 2: correct"),
        ('"ACGT,1', "line .*: the line cannot be read"),
        ('"ACGT"x,1', "line 5: the line cannot be read"),
    ],
)
def test_a_ragged_line_is_named_with_its_number(files, tmp_path, line, sentence):
    lines = Path(files["train"]).read_text().splitlines()
    Path(files["train"]).write_text("\n".join([*lines[:4], line, *lines[5:]]) + "\n")
    with pytest.raises(InputError, match=rf"train\.csv, {sentence}") as caught:
        make(files)
    assert "C error" not in str(caught.value)


def test_a_table_whose_lines_are_all_longer_than_its_header_is_refused(files, tmp_path):
    rows = [(number, *row) for number, row in enumerate(rows_of(12, 1))]
    files["train"] = write_csv(tmp_path / "train.csv", rows)
    with pytest.raises(InputError, match="line 2: 3 cells under a header of 2"):
        make(files)


def test_quoted_cells_blank_lines_and_windows_line_ends_are_read(files):
    expected, _ = make(files)
    lines = Path(files["train"]).read_text().splitlines()
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    Path(files["train"]).write_bytes("\r\n\r\n".join(quoted).encode("utf-8-sig"))
    pd.testing.assert_frame_equal(make(files)[0], expected)


def test_too_few_sequences_for_the_splits_name_task_and_file(files):
    with pytest.raises(InputError, match=r"Task mine\.x \(.*train\.csv\): Class 0 has 6 different"):
        make_task(files, TASK, "mine.x", {**FOLDS, "splits": 10})


def test_a_message_names_the_file_by_the_path_that_was_given(files, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / "train.csv", rows_of(12, 1))
    bad = write_csv(tmp_path / "two" / "train.csv", [("ACGT", "x")])
    with pytest.raises(InputError) as caught:
        make({**files, "train": [str(tmp_path / "one" / "train.csv"), bad]})
    assert str(caught.value).startswith(f"{bad}, row 1 has the label 'x'")


def test_a_missing_key_and_an_unknown_kind_are_named(files):
    with pytest.raises(InputError, match=r"mine\.x lacks the key `format`"):
        make_task(files, {k: v for k, v in TASK.items() if k != "format"}, "mine.x", FOLDS)
    with pytest.raises(InputError, match="kind: 'ranking' is not allowed; choose one of binary,"):
        make(files, kind="ranking")


def test_real_tasks_have_the_counts_that_their_readme_gives(data_folder):
    folder = data_folder / "tasks"
    files = {
        split: str(folder / "promoter_tata" / f"{split}.csv.gz") for split in ("train", "test")
    }
    folds = {**FOLDS, "splits": 10}
    table, summary = make_task(files, {**TASK, "length": 300}, "original.promoter_tata", folds)
    assert summary["rows"] == {"train": 4904, "test": 613}
    assert summary["rows_per_class"]["train"] == [2460, 2444]
    # Six equal sequences are documented for one strand; the other strand can only add some.
    assert summary["duplicates"]["across"] >= 6
    same_strand = set(table.loc[table["split"] == "train", "sequence"])
    assert table.loc[table["split"] == "test", "sequence"].isin(same_strand).sum() == 6
    held = table.loc[table["split"] == "train", "folds"].str[0].value_counts()
    assert held.sum() == 4904
    assert held.max() - held.min() <= 3


def test_test_rows_are_drawn_class_by_class_from_one_file_and_twins_stay_together(tmp_path):
    rows = rows_of(40, 3)
    twin = rows[0][0].translate(str.maketrans("ACGT", "TGCA"))[::-1]
    path = write_csv(tmp_path / "all.csv", [*rows, (twin, rows[0][1])])
    table, summary = make({"train": [path], "test": []}, test_share=0.25)
    assert summary["rows_per_class"]["test"] == [5, 5]
    assert summary["rows"] == {"train": 31, "test": 10}
    assert list(table["split"]) == ["train"] * 31 + ["test"] * 10
    assert table["id"].iloc[[0, 30, 31, 40]].tolist() == ["train.0", "train.30", "test.0", "test.9"]
    assert sorted(zip(table["sequence"], table["label"], strict=True)) == sorted(
        [*rows, (twin, rows[0][1])]
    )
    splits = table.set_index("sequence")["split"]
    assert splits[twin] == splits[rows[0][0]]
    again, _ = make({"train": [path], "test": []}, test_share=0.25)
    other, _ = make({"train": [path], "test": []}, test_share=0.25, seed=1)
    assert again.equals(table)
    assert list(other["sequence"]) != list(table["sequence"])


def test_too_few_rows_to_draw_test_rows_from_are_refused_with_the_file(tmp_path):
    path = write_csv(
        tmp_path / "all.csv", [("ACGTACGTAA", 0), ("ACGTACCTAA", 0), ("CCGTACGTAA", 1)]
    )
    sentence = r"mine.x \(.*all\.csv\): 1 different sequences of class 1 are .* change test_share"
    with pytest.raises(InputError, match=sentence):
        make({"train": [path], "test": []}, test_share=0.2)


def by_class(tmp_path, names, rows):
    """Write a file of unlabelled rows for each class; return their paths, in order."""
    paths = []
    for label, name in enumerate(names):
        own = [sequence for sequence, known in rows if known == label]
        path = tmp_path / name
        if ".fa" in name:
            path.write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(own)))
        elif name.endswith(".parquet"):
            pd.DataFrame({"sequence": own}).to_parquet(path)
        else:
            path.write_text("\n".join(["sequence,note", *(f"{text},9" for text in own)]) + "\n")
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    "names", [("neg.fa", "pos.fa"), ("neg.csv", "pos.fa"), ("neg.parquet", "pos.parquet")]
)
def test_files_of_one_class_each_are_a_table_with_their_labels(files, tmp_path, names):
    expected, _ = make(files)
    train = by_class(tmp_path, [f"train_{name}" for name in names], rows_of(12, 1))
    test = by_class(tmp_path, [f"test_{name}" for name in names], rows_of(6, 2))
    labels = {"train": ["neg", "pos"], "test": ["neg", "pos"]}
    table, summary = make(
        {"train": train, "test": test}, file_labels=labels, labels={"neg": 0, "pos": 1}
    )
    columns = ["sequence", "label", "split"]
    same = [frame[columns].sort_values(columns).to_numpy().tolist() for frame in (table, expected)]
    assert same[0] == same[1]
    assert summary["rows_per_class"] == {"train": [6, 6], "test": [3, 3]}
    # One of the splits may have its labels in its rows.
    mixed, _ = make({"train": train, "test": files["test"]}, file_labels={"train": ["0", "1"]})
    assert mixed["label"].tolist() == [0] * 6 + [1] * 6 + [0, 1] * 3


def test_test_rows_are_drawn_of_each_class_where_files_have_one(tmp_path):
    paths = by_class(tmp_path, ["neg.fa", "pos.fa"], rows_of(40, 1))
    table, summary = make(
        {"train": paths, "test": []}, test_share=0.2, file_labels={"train": ["0", "1"]}
    )
    assert summary["rows_per_class"] == {"train": [16, 16], "test": [4, 4]}
    assert set(zip(table["sequence"], table["label"], strict=True)) == set(rows_of(40, 1))
