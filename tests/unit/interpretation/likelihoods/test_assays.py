"""Saturation mutagenesis: rows on the genome, scores of transformers, correlations of scipy."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_codes
from dnalm.interpretation.likelihoods.assay import correlate, score_assay
from dnalm.interpretation.likelihoods.assay_table import read_assay
from dnalm.variants.windows import WindowConfig, Windows

COLUMNS = {name: name for name in ("contig", "position", "ref", "alt", "effect")}
BOOTSTRAP = {"draws": 200, "seed": 3, "level": 0.95}
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))
SETTINGS = {
    "assay": "mine",
    "model": "small",
    "genome": "g",
    "columns": COLUMNS,
    "interval": None,
    "published_as": None,
    "bootstrap": BOOTSTRAP,
    "window": 60,
    "layer": "last",
    "pooling": "mean",
    "scores": ["llr", "masked_loss_alt", "l2"],
    "frames": 1,
    "strands": "forward",
    "shared_bases": 1,
    "max_n": 0,
    "contig_names": "exact",
    "largest_mismatch": 0.05,
    "index": "tbi",
    "part_records": 256,
    "features": False,
    "precision": "float32",
    "batch_tokens": 4096,
}


@pytest.fixture
def text(sequence):
    return sequence(7, 400)


@pytest.fixture
def genome(store, text):
    return store("g", {"c": text})


@pytest.fixture
def windows(genome, esm):
    config = WindowConfig(
        bases=60, k=3, frames=1, strands="forward", shared_bases=1, max_n=0, max_tokens=40
    )
    return Windows(GenomeBases.of(genome), esm.vocabulary, config)


def write(path, rows, header="contig,position,ref,alt,effect"):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def every_change(text, first, last):
    """Return (position from 1, ref, alt) of all changes of some bases."""
    return [
        (place + 1, text[place], alt)
        for place in range(first, last)
        for alt in "ACGT"
        if alt != text[place]
    ]


def test_positions_of_an_interval_count_in_its_reading_direction(tmp_path, text, windows):
    forward = [("c", p, ref, alt, p / 10) for p, ref, alt in every_change(text, 100, 110)]
    known = read_assay(write(tmp_path / "a.csv", forward), SETTINGS, windows)
    assert known["position"].tolist() == [row[1] for row in forward]
    interval = {"contig": "c", "start": 101, "end": 110}
    own = [(p - 100, ref, alt, e) for _, p, ref, alt, e in forward]
    table = write(tmp_path / "b.csv", own, "position,ref,alt,effect")
    placed = read_assay(table, {**SETTINGS, "interval": {**interval, "strand": "+"}}, windows)
    pd.testing.assert_frame_equal(placed, known)
    turned = [(11 - p, COMPLEMENT[ref], COMPLEMENT[alt], e) for p, ref, alt, e in own]
    table = tmp_path / "c.tsv"
    lines = ["n\tfrom\tto\tdPSI", *("\t".join(map(str, row)) for row in turned)]
    table.write_text("\n".join(lines) + "\n")
    columns = {**COLUMNS, "position": "n", "ref": "from", "alt": "to", "effect": "dPSI"}
    settings = {**SETTINGS, "interval": {**interval, "strand": "-"}, "columns": columns}
    pd.testing.assert_frame_equal(read_assay(table, settings, windows), known)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("c", 120, "X", "A", 1), "line 3: 'X' to 'A' is not one base of A, C, G, T"),
        (("c", "0", "A", "C", 1), "line 3: the position '0' is no number from 1 on"),
        (("d", 120, "A", "C", 1), r"line 3: the contig is not in the genome \(d:120\)"),
        (("c", 900, "A", "C", 1), r"line 3: the position lies outside of the genome \(c:900\)"),
        (("c", 120, "A", "C", "high"), "line 3: the effect 'high' is no number"),
        (("c", 120, "A", "C"), "line 3: 4 cells, but the header has 5"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path, text, windows, row, said):
    if len(row) == 5 and row[4] == "high":
        row = ("c", 120, text[119], COMPLEMENT[text[119]], "high")
    path = write(tmp_path / "a.csv", [("c", 119, text[118], COMPLEMENT[text[118]], 0.5), row])
    with pytest.raises(InputError, match=said):
        read_assay(path, SETTINGS, windows)


def test_a_ref_that_the_genome_has_not_there_is_refused_with_its_row(tmp_path, text, windows):
    wrong = COMPLEMENT[text[119]]
    path = write(tmp_path / "a.csv", [("c", 120, wrong, text[119], 1)])
    said = f"line 2: REF is {wrong} at c:120, but the genome has {text[119]} there"
    with pytest.raises(InputError, match=said):
        read_assay(path, SETTINGS, windows)
    path = write(tmp_path / "b.csv", [("c", 1, "A", "C", 1)], "chrom,position,ref,alt,effect")
    with pytest.raises(InputError, match=r"there is no column contig.* or give `interval`"):
        read_assay(path, SETTINGS, windows)


def test_rows_without_an_effect_are_counted_and_left_out(tmp_path, text, windows, caplog):
    rows = [("c", 120, text[119], COMPLEMENT[text[119]], value) for value in ("NA", "", 0.5)]
    table = read_assay(write(tmp_path / "a.csv", rows), SETTINGS, windows)
    assert table["effect"].tolist() == [0.5]
    assert "2 rows have no effect" in caplog.text


def ask_transformers(esm, text, position, alt):
    """Return the log-likelihood ratio and −ln p of the reference in the window of 60 bases."""
    vocabulary, left = esm.vocabulary, 30
    start = position - 1 - left

    def to_ids(letters):
        words = [letters[at : at + 3] for at in range(0, 60, 3)]
        index = [int(np.dot(to_codes(word).astype(int), [16, 4, 1])) for word in words]
        return torch.tensor([[vocabulary.cls, *(vocabulary.kmer_offset + i for i in index)]])

    window = text[start : start + 60]
    ids, other = to_ids(window), to_ids(window[:left] + alt + window[left + 1 :])
    token = 1 + left // 3
    masked = ids.clone()
    masked[0, token] = vocabulary.mask
    with torch.inference_mode():
        logits = esm.reference(masked, attention_mask=torch.ones_like(masked)).logits
    likely = logits[0, token].log_softmax(-1)
    own, its = float(likely[ids[0, token]]), float(likely[other[0, token]])
    return its - own, -own


def test_scores_are_those_of_transformers_and_correlations_those_of_scipy(
    tmp_path, text, genome, esm
):
    random = np.random.default_rng(5)
    changes = every_change(text, 150, 170)
    truth = [ask_transformers(esm, text, position, alt) for position, _, alt in changes]
    ratios = np.array([ratio for ratio, _ in truth])
    effects = ratios + random.normal(0, ratios.std(), len(ratios))
    rows = [("c", *change, effect) for change, effect in zip(changes, effects, strict=True)]
    files = {"table": str(write(tmp_path / "a.csv", rows)), **esm.files}
    files |= {name: str(genome / f"{name}.npy") for name in ("bases",)}
    files |= {"contigs": str(genome / "contigs.tsv"), "manifest": str(genome / "manifest.json")}
    outputs = {"summary": tmp_path / "s.tsv", "variants": tmp_path / "v.parquet"}
    score_assay(files, SETTINGS, outputs)
    found = pd.read_parquet(outputs["variants"])
    np.testing.assert_allclose(found["llr"], ratios, atol=1e-4)
    np.testing.assert_allclose(found["masked_loss_ref"], [loss for _, loss in truth], atol=1e-4)
    np.testing.assert_allclose(found["effect"], effects)
    assert (found["l2"] > 0).all()
    summary = pd.read_csv(outputs["summary"], sep="\t")
    assert set(summary["score"]) == {"llr", "masked_loss_alt", "l2", "masked_loss_ref"}
    keys = ["score", "level", "effect"]
    by_name = summary.set_index(keys)
    signed = by_name.loc["llr", "variant", "signed"]
    assert signed["points"] == 60
    assert signed["positions"] == 20
    # A smaller ratio is more effect, so that the score is turned.
    assert signed["pearson"] == pytest.approx(stats.pearsonr(-ratios, effects)[0], abs=1e-4)
    assert signed["spearman"] == pytest.approx(stats.spearmanr(-ratios, effects)[0], abs=1e-2)
    assert signed["pearson_low"] < signed["pearson"] < signed["pearson_high"] < 0
    means = found.groupby("position")[["llr", "effect"]].agg(
        {"llr": "mean", "effect": lambda own: own.abs().mean()}
    )
    of_positions = by_name.loc["llr", "position", "absolute"]
    expected = stats.pearsonr(-means["llr"], means["effect"])[0]
    assert of_positions["pearson"] == pytest.approx(expected, abs=1e-4)
    assert of_positions["points"] == 20


def test_intervals_hold_the_true_correlation_and_know_that_positions_share_effects():
    """Of 100 tables with r = 0.5 between positions, about 95 intervals of 95 % hold it."""
    held, widths = 0, []
    for seed in range(100):
        random = np.random.default_rng(seed)
        first = random.normal(size=40)
        second = 0.5 * first + np.sqrt(0.75) * random.normal(size=40)
        place = np.repeat(np.arange(40), 3)  # three equal rows of each position are no more data
        table = pd.DataFrame(
            {"contig": "c", "position": place, "l2": first[place], "effect": second[place]}
        )
        row = next(iter(correlate(table, ["l2"], {**BOOTSTRAP, "seed": seed})))
        held += row["pearson_low"] <= 0.5 <= row["pearson_high"]
        widths.append(row["pearson_high"] - row["pearson_low"])
    assert 86 <= held <= 99
    # The standard error of r at 40 points is 0.12.
    assert 0.35 < np.mean(widths) < 0.65


def test_effects_that_do_not_vary_have_no_correlation():
    table = pd.DataFrame({"contig": "c", "position": range(9), "l2": range(9), "effect": 1.0})
    for row in correlate(table, ["l2"], BOOTSTRAP):
        assert np.isnan(row["pearson"])
        assert np.isnan(row["spearman_low"])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"\n\n" + data + b"\n",
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data.decode().encode("utf-16"),
        lambda data: gzip.compress(data) + b"\0" * 64,
    ],
    ids=["bom", "blank lines", "cr", "utf16", "gzip padded"],
)
def test_a_table_is_read_whoever_saved_it(tmp_path, text, windows, change):
    rows = [("c", p, ref, alt, p / 10) for p, ref, alt in every_change(text, 100, 104)]
    path = write(tmp_path / "a.csv", rows)
    known = read_assay(path, SETTINGS, windows)
    path.write_bytes(change(path.read_bytes()))
    pd.testing.assert_frame_equal(
        read_assay(path, SETTINGS, windows).drop(columns="row"), known.drop(columns="row")
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("120", "9" * 5000, "line 2: the position '9999"),
        ("120", "١٢٠", "line 2: the position '١٢٠' is no number"),
        ("0.5", "1_0", "line 2: the effect '1_0' is no number"),
        ("0.5", "٥", "line 2: the effect '٥' is no number"),
        ("0.5", "0" * 140_000 + "x", "line 2: the effect '000"),
        ("0.5", '"0.5', "a quotation mark is not closed"),
        ("0.5", "0.5\0", "holds a NUL character"),
    ],
    ids=["digits", "foreign position", "underscore", "foreign", "long", "quote", "nul"],
)
def test_a_damaged_table_is_refused_in_a_sentence(tmp_path, text, windows, old, new, said):
    path = write(tmp_path / "a.csv", [("c", 120, text[119], COMPLEMENT[text[119]], 0.5)])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_assay(path, SETTINGS, windows)


def test_a_column_that_comes_twice_is_refused(tmp_path, windows):
    header = "contig,position,ref,alt,effect,effect"
    path = write(tmp_path / "a.csv", [("c", 120, "A", "C", 0.5, 0.7)], header)
    with pytest.raises(InputError, match="there are two columns effect"):
        read_assay(path, SETTINGS, windows)


def test_a_row_that_a_mark_in_an_unread_column_swallows_is_not_lost(tmp_path, text, windows):
    other = COMPLEMENT[text[119]]
    rows = [("c", 120, text[119], other, 1, '"x'), ("c", 121, "A", "C", 0, 'y"')]
    path = write(tmp_path / "a.csv", rows, header="contig,position,ref,alt,effect,note")
    with pytest.raises(InputError, match="line 3: a quotation mark swallows the rows before it"):
        read_assay(path, SETTINGS, windows)
