"""Rows that cannot be read as they are: dropped with a reason, masked, cropped or tiled."""

import numpy as np
import pandas as pd
import pytest

from dnalm import predict, predict_file
from dnalm.benchmark.prediction.pieces import Rules, cut_pieces
from dnalm.benchmark.prediction.sources import Row
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.token_batches import Limits

LIMITS = Limits(vocabulary=Vocabulary(2, "v2"), max_tokens=64)
RULES = {
    "other_letters": "refuse",
    "too_short": "refuse",
    "too_long": "refuse",
    "min_bases": 2,
    "max_bases": None,
    "tile_overlap": 0,
}


def cut(sequence: str, **rules):
    row = Row(id="x", sequence=sequence, place="here", columns={})
    return cut_pieces(row, Rules(**(RULES | rules)), LIMITS)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_tokens_are_counted_as_the_tokenizer_makes_them(sequence, share):
    for seed, length in enumerate((1, 2, 3, 50, 333)):
        text = sequence(seed, length, share)
        assert LIMITS.count_tokens(text) == len(encode(to_codes(text), LIMITS.vocabulary))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("overlap", [0, 1, 30, 125])
def test_tiles_cover_every_base_fit_the_model_and_overlap(sequence, share, overlap):
    text = sequence(5, 1000, share)
    pieces = cut(text, too_long="tiles", tile_overlap=overlap)
    size = len(pieces.texts[0])
    assert all(LIMITS.count_tokens(piece) <= 64 for piece in pieces.texts)
    for start, piece in zip(pieces.starts, pieces.texts, strict=True):
        assert piece == text[start : start + size]
    assert (pieces.starts[0], pieces.starts[-1]) == (0, 1000 - size)
    steps = np.diff(pieces.starts)
    assert (steps >= 1).all()
    assert steps.max() <= max(1, size - overlap)
    assert pieces.note == f"{len(pieces.texts)} tiles of {size} of 1000 bases"


def test_the_middle_is_cut_from_the_middle():
    text = "A" * 437 + "C" * 126 + "A" * 437
    pieces = cut(text, too_long="centre")
    assert pieces.texts == ("C" * 126,)
    assert pieces.note == "the middle 126 of 1000 bases"
    assert cut(text, too_long="centre", max_bases=50).texts == ("C" * 50,)
    gapped = cut("A" * 450 + "N" * 100 + "A" * 450, too_long="centre")
    assert len(gapped.texts[0]) == 63  # each N is a token


def test_what_fits_is_left_as_it_is():
    pieces = cut("acgu" * 10, too_long="tiles")
    assert (pieces.texts, pieces.starts, pieces.note) == (("ACGT" * 10,), (0,), "")
    assert pieces.uracil == 10


@pytest.mark.parametrize(
    ("text", "rules", "note"),
    [
        ("ACGE", {"other_letters": "drop"}, "left out: 'E' is no code of DNA"),
        ("A", {"too_short": "drop"}, "left out: 1 bases are too few"),
        ("", {"too_short": "drop"}, "left out: 0 bases are too few"),
        ("AC" * 100, {"too_long": "drop"}, "left out: 200 bases are too many"),
        ("ACACAC", {"too_long": "drop", "max_bases": 5}, "left out: 6 bases are too many"),
    ],
)
def test_rows_that_are_left_out_say_why(text, rules, note):
    pieces = cut(text, **rules)
    assert (pieces.texts, pieces.note) == ((), note)


def test_unusable_rows_stand_in_the_table_with_a_reason_and_no_numbers(trained, tmp_path, caplog):
    rows = {"good": "ACGTACGTAC", "protein": "MKLVEFP", "tiny": "A", "long": "ACGTA" * 100}
    path = tmp_path / "rows.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in rows.items()))
    found = predict_file(
        trained.classifier,
        path,
        [tmp_path / "out.tsv", tmp_path / "out.parquet"],
        other_letters="drop",
        too_short="drop",
        too_long="tiles",
        tile_overlap=20,
    )
    assert found == {"rows": 4, "left_out": 2}
    assert "2 of 4 rows are left out" in caplog.text
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t").set_index("id")
    assert table.index.tolist() == list(rows)
    assert table["note"].notna().tolist() == [False, True, True, True]
    assert table["predicted"].isna().tolist() == [False, True, True, False]
    assert table["probability.1"].isna().tolist() == [False, True, True, False]
    assert table["folds"].tolist() == [3, 0, 0, 3]
    pieces = cut(rows["long"], too_long="tiles", tile_overlap=20)
    assert len(pieces.texts) == 5
    wanted = predict(trained.classifier, list(pieces.texts)).mean(axis=0)
    np.testing.assert_allclose(table.loc["long", "probability.1"], wanted[1], rtol=1e-5)
    masked = predict_file(
        trained.classifier, path, tmp_path / "out.tsv",
        other_letters="mask", too_short="drop", too_long="centre",
    )  # fmt: skip
    assert masked["left_out"] == 1
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t").set_index("id")
    wanted = predict(trained.classifier, ["NNNNNNN"])[0, 1]  # M, K and V are codes, L, E, F, P not
    np.testing.assert_allclose(table.loc["protein", "probability.1"], wanted, rtol=1e-5)
    assert table.loc["protein", "note"] == "4 letters are read as N"


def test_a_file_without_a_usable_row_gives_a_table_of_reasons(trained, tmp_path):
    (tmp_path / "rows.fa").write_text(">p\nMLLL\n>q\nEEEE\n")
    output = tmp_path / "out.parquet"
    predict_file(trained.classifier, tmp_path / "rows.fa", output, other_letters="drop")
    table = pd.read_parquet(output)
    assert table["predicted"].isna().all()
    assert table["note"].str.startswith("left out").all()
