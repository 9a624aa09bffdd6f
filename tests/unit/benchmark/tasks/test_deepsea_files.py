"""DeepSEA's files in their real formats: decoded, refused where they are others, made into a task.

Files are written as the released ones are: train.mat as MATLAB 7.3, an HDF5 file whose axes are
reversed, valid.mat and test.mat as MATLAB 5.
"""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from dnalm.benchmark.tasks.deepsea_files import (
    BLOCK_BYTES,
    check_letters,
    decode,
    read_profiles,
)
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import make_task, read_task, write_task
from dnalm.errors import InputError

SEQUENCES, LABELS = ["AGCT", "TTGC", "NACG"], [[1, 0], [0, 1], [1, 1]]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
TASK = {
    "format": "deepsea",
    "kind": "multilabel",
    "classes": 3,
    "sequence_column": "sequence",
    "label_column": "label",
    "shuffle_labels": False,
    "seed": 42,
}
GIVEN = {
    "scheme": "given",
    "splits": 2,
    "validation_share": 0.1,
    "group": None,
    "validation": ["validation"],
    "seed": 42,
}


def one_hot(sequences, channels="AGCT"):
    """Return uint8 [rows, 4, bases]."""
    return np.array(
        [[[int(base == letter) for base in text] for letter in channels] for text in sequences],
        dtype=np.uint8,
    )


def mirror(sequences):
    return [text.translate(COMPLEMENT)[::-1] for text in sequences]


def write_5(path, sequences, labels, role="valid", channels="AGCT"):
    bases = one_hot([*sequences, *mirror(sequences)], channels)
    labels = np.array([*labels, *labels], dtype=np.uint8)
    savemat(path, {f"{role}xdata": bases, f"{role}data": labels})
    return str(path)


def write_73(path, sequences, labels, channels="AGCT", chunks=None):
    bases = one_hot([*sequences, *mirror(sequences)], channels).transpose(2, 1, 0)
    labels = np.array([*labels, *labels], dtype=np.uint8).T
    with h5py.File(path, "w", userblock_size=512) as file:  # as MATLAB writes it
        file.create_dataset("trainxdata", data=bases, chunks=chunks)
        file.create_dataset("traindata", data=labels)
    return str(path)


def draw(rows, bases=60, seed=1, cg=0.25):
    """Return DNA in which CG is as rare as in a vertebrate: most are made TG."""
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGT"), bases)) for _ in range(rows)]
    return [text.replace("CG", "TG") if random.random() > cg else text for text in texts]


@pytest.mark.parametrize("write", [write_5, write_73])
def test_both_formats_decode_to_the_three_worked_sequences(tmp_path, write):
    rows = read_profiles(write(tmp_path / "x.mat", SEQUENCES, LABELS))
    assert rows.sequences == SEQUENCES
    assert rows.profiles.dtype == np.int8
    assert rows.profiles.tolist() == LABELS


def test_sparse_labels_are_those_of_a_whole_array(tmp_path):
    path = write_5(tmp_path / "x.mat", SEQUENCES, LABELS)
    stored = loadmat(path)
    labels = csc_matrix(stored["validdata"].astype(float))
    savemat(path, {"validxdata": stored["validxdata"], "validdata": labels})
    assert read_profiles(path).profiles.tolist() == LABELS
    labels.data[0] = 2
    savemat(path, {"validxdata": stored["validxdata"], "validdata": labels})
    with pytest.raises(InputError, match=r"x.mat, row \d holds 2.0, and bases and labels are 0 or"):
        read_profiles(path)


def test_the_worked_channels_read_in_another_order_would_be_other_sequences():
    read_as_acgt = one_hot(SEQUENCES, "AGCT")[:, [0, 2, 1, 3]]
    assert decode("x", read_as_acgt) == ["ACGT", "TTCG", "NAGC"]


def test_rows_of_a_file_of_many_blocks_keep_their_order(tmp_path, monkeypatch):
    sequences = draw(500)
    labels = np.random.default_rng(2).integers(0, 2, (500, 3)).tolist()
    for chunks in (None, (60, 4, 7)):
        path = write_73(tmp_path / "train.mat", sequences, labels, chunks=chunks)
        for block in (BLOCK_BYTES, 60 * 4 * 30, 1):
            monkeypatch.setattr("dnalm.benchmark.tasks.deepsea_files.BLOCK_BYTES", block)
            rows = read_profiles(path)
            assert rows.sequences == sequences
            assert rows.profiles.tolist() == labels


def test_an_exchange_of_a_and_t_is_refused_by_the_frequency_of_ta():
    random = np.random.default_rng(7)
    drawn = ["".join(random.choice(list("ACGT"), 400)) for _ in range(300)]
    check_letters("x.mat", drawn)  # as many of both tell nothing
    # TA as rare beside AT as in a vertebrate: a fifth of them are made CA.
    texts = [text.replace("TA", "CA") if random.random() < 0.2 else text for text in drawn]
    check_letters("x.mat", texts)
    swapped = [text.translate(str.maketrans("AT", "TA")) for text in texts]
    with pytest.raises(InputError, match=r"TA and .* AT.*channels are in another order"):
        check_letters("x.mat", swapped)
    check_letters("x.mat", swapped[:20])  # too few pairs to tell


@pytest.mark.parametrize("write", [write_5, write_73])
def test_channels_in_the_order_acgt_are_refused_by_the_frequency_of_cg(tmp_path, write):
    path = write(tmp_path / "x.mat", draw(200), [[1, 0, 0]] * 200, channels="ACGT")
    with pytest.raises(InputError, match=r"CG and .* GC.*channels are in another order"):
        read_profiles(path)


def test_the_frequency_of_cg_tells_the_orders_apart_on_real_dna(chr20, tmp_path):
    texts = [chr20[i : i + 1000] for i in range(0, 100_000, 1000)]
    labels = [[1, 0]] * len(texts)
    assert read_profiles(write_5(tmp_path / "a.mat", texts, labels)).sequences == texts
    with pytest.raises(InputError, match=r"channels are in another order"):
        read_profiles(write_5(tmp_path / "b.mat", texts, labels, channels="ACGT"))


@pytest.fixture(scope="module")
def chr20(data_folder):
    from dnalm.genome.annotation import open_text

    with open_text(data_folder / "human_grch37_chr20_1-2Mb/20_1000001-2000000.fa.gz") as file:
        return "".join(line.strip() for line in file if not line.startswith(">")).upper()


@pytest.mark.parametrize("write", [write_5, write_73])
def test_halves_that_do_not_mirror_each_other_are_refused_with_the_rows(tmp_path, write):
    sequences = draw(20)
    path = tmp_path / "x.mat"
    write(path, sequences, [[1, 0]] * 20)
    if h5py.is_hdf5(path):
        with h5py.File(path, "a") as file:
            bases = file["trainxdata"][...]
            file["trainxdata"][...] = np.concatenate([bases[..., :20], bases[..., :20]], axis=-1)
    else:
        bases = one_hot([*sequences, *sequences])
        savemat(path, {"validxdata": bases, "validdata": np.ones((40, 2), np.uint8)})
    with pytest.raises(InputError, match=r"row 21 is not the reverse complement of row 1, as in"):
        read_profiles(path)


def test_axes_of_the_other_format_are_refused_with_their_sizes(tmp_path):
    bases = one_hot(SEQUENCES + mirror(SEQUENCES))
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:  # as MATLAB 5 has them
        file["trainxdata"], file["traindata"] = bases[:, :, :3], np.ones((6, 2), np.uint8)
    with pytest.raises(InputError, match=r"bases \[6, 4, 3\] and.*expected of HDF5"):
        read_profiles(path)
    savemat(path, {"validxdata": bases.T[:3], "validdata": np.ones((2, 6), np.uint8)})
    with pytest.raises(InputError, match=r"bases \[3, 4, 6\].*are expected of MATLAB 5"):
        read_profiles(path)


def test_other_numbers_of_sequences_and_labels_are_refused_with_both(tmp_path):
    bases = one_hot(SEQUENCES + mirror(SEQUENCES))
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:
        file["trainxdata"], file["traindata"] = bases.transpose(2, 1, 0), np.ones((2, 5), np.uint8)
    with pytest.raises(InputError, match=r"x.mat holds 6 sequences and 5 rows of labels"):
        read_profiles(path)
    savemat(path, {"validxdata": bases, "validdata": np.ones((5, 2), np.uint8)})
    with pytest.raises(InputError, match=r"x.mat holds 6 sequences and 5 rows of labels"):
        read_profiles(path)


@pytest.mark.parametrize("write", [write_5, write_73])
def test_the_format_is_that_of_the_file_whichever_of_the_three_it_is(write, tmp_path):
    path = write(tmp_path / "x.mat", SEQUENCES, LABELS)
    assert read_profiles(path).sequences == SEQUENCES
    other = tmp_path / "train.mat"
    other.write_bytes((tmp_path / "x.mat").read_bytes())
    assert read_profiles(other).profiles.tolist() == LABELS


def test_odd_rows_other_numbers_other_variables_and_other_files_are_refused(tmp_path):
    path = tmp_path / "x.mat"
    savemat(path, {"validxdata": one_hot(SEQUENCES), "validdata": np.ones((3, 2))})
    with pytest.raises(InputError, match=r"has 3 rows, and the second half"):
        read_profiles(path)
    bases = one_hot([*SEQUENCES, *mirror(SEQUENCES)])
    savemat(path, {"validxdata": bases, "validdata": np.full((6, 2), 2)})
    with pytest.raises(InputError, match=r"row 1 holds 2, and bases and labels are 0 or 1"):
        read_profiles(path)
    both = bases.copy()
    both[1, :, 2] = both[4, :, 1] = 1
    savemat(path, {"validxdata": both, "validdata": np.ones((6, 2))})
    with pytest.raises(InputError, match=r"row 2: base 3 has several letters"):
        read_profiles(path)
    savemat(path, {"x": bases})
    with pytest.raises(InputError, match=r"holds x, and one variable ...xdata"):
        read_profiles(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 200)
    with pytest.raises(InputError, match=r"is no file of MATLAB 5 or HDF5, or is damaged"):
        read_profiles(path)
    whole = Path(write_73(tmp_path / "whole.mat", draw(50), [[1, 0]] * 50)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x.mat"):
        read_profiles(path)


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(3)
    labels = {role: random.integers(0, 2, (rows, 3)) for role, rows in ROWS.items()}
    return {
        "train": write_73(tmp_path / "train.mat", draw(ROWS["train"]), labels["train"]),
        "validation": write_5(
            tmp_path / "valid.mat", draw(ROWS["validation"], seed=2), labels["validation"]
        ),
        "test": write_5(tmp_path / "test.mat", draw(ROWS["test"], seed=3), labels["test"], "test"),
    }, labels


ROWS = {"train": 40, "validation": 12, "test": 15}


def test_three_files_become_one_table_of_forward_rows_with_given_validation(files, tmp_path):
    sources, labels = files
    table, summary = make_task(sources, TASK, "deepsea.chromatin", GIVEN)
    write_task(table, summary, str(tmp_path / "t.parquet"), str(tmp_path / "t.json"))
    table = read_task(str(tmp_path / "t.parquet"))
    expected = np.concatenate([labels[role] for role in ROWS])
    assert np.stack(table["label"]).tolist() == expected.tolist()
    assert table["label"].iloc[0].dtype == np.int8
    assert table["sequence"].tolist()[:40] == draw(40)
    splits = Splits(table, "multilabel")
    assert splits.labels.dtype == np.int8
    assert [len(split.validation) for split in splits] == [12, 12]
    assert table["provenance"].iloc[splits[0].validation[0]] == "valid.mat, row 1"
    assert summary["rows"] == {"train": 52, "test": 15}
    assert summary["rows_per_class"]["test"] == labels["test"].sum(axis=0).tolist()


def test_names_groups_and_published_scores_come_with_the_task(files, tmp_path):
    path = tmp_path / "profiles.tsv"
    path.write_text("# of whom\nname\tgroup\tpublished_auc\na\tTF\t0.9\nb\tTF\tNA\nc\tDNase\t0.8\n")
    _, summary = make_task({**files[0], "outputs": str(path)}, TASK, "deepsea.chromatin", GIVEN)
    assert summary["names"] == ["a", "b", "c"]
    assert summary["groups"] == ["TF", "TF", "DNase"]
    assert summary["published_outputs"] == {"auc": [0.9, None, 0.8]}


def test_another_number_of_labels_is_refused_with_both(files):
    with pytest.raises(InputError, match=r"has 3 labels, but task deepsea.chromatin has 919"):
        make_task(files[0], {**TASK, "classes": 919}, "deepsea.chromatin", GIVEN)


def test_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "train.mat")
    with pytest.raises(InputError, match=r"train.mat is a pipe, a socket or a device"):
        read_profiles(tmp_path / "train.mat")
    with pytest.raises(InputError, match=r"valid.mat is no file of MATLAB 5 .*No such file"):
        read_profiles(tmp_path / "valid.mat")
