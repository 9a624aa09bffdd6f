"""Per-base predictions: lists in Parquet, tracks along a genome as other programs read them."""

import errno
import gzip
import os

import numpy as np
import pandas as pd
import pybigtools
import pytest

from dnalm import InputError, predict, predict_file, read_genome
from dnalm.benchmark.prediction.tracks import open_tracks
from dnalm.errors import NoSpaceError

SEQUENCES = {"a": "ACGTACGTACGTAAT", "b": "TTTACGACGTANGCATGCATGCAT"}


def lists(table: pd.DataFrame, label: int) -> list[np.ndarray]:
    return table[f"probability.{label}"].tolist()


def test_every_base_has_a_probability_and_a_class(tune, tmp_path):
    classifier = tune("per_base", 3)
    path = tmp_path / "rows.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in SEQUENCES.items()))
    predict_file(classifier, path, tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    for row, text in enumerate(SEQUENCES.values()):
        outputs = predict(classifier, [text])[0]
        assert outputs.shape == (len(text), 3)
        for label in range(3):
            np.testing.assert_allclose(lists(found, label)[row], outputs[:, label], atol=1e-5)
        assert found["predicted"][row].tolist() == outputs.argmax(axis=1).tolist()


def test_of_both_strands_each_base_has_the_mean_of_its_own(tune, tmp_path):
    classifier, text = tune("per_base", 2), SEQUENCES["a"]
    (tmp_path / "rows.fa").write_text(f">a\n{text}\n")
    predict_file(classifier, tmp_path / "rows.fa", tmp_path / "out.parquet", strands="both")
    other = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    wanted = (predict(classifier, [text])[0] + predict(classifier, [other])[0][::-1]) / 2
    found = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_allclose(lists(found, 1)[0], wanted[:, 1], atol=1e-5)


def test_tiles_are_joined_and_bases_outside_of_the_middle_have_no_number(tune, tmp_path):
    classifier, text = tune("per_base", 2), "ACGTTGCA" * 40
    (tmp_path / "rows.fa").write_text(f">a\n{text}\n")
    options = {"max_bases": 100, "tile_overlap": 40}
    predict_file(
        classifier, tmp_path / "rows.fa", tmp_path / "out.parquet", too_long="tiles", **options
    )
    found = lists(pd.read_parquet(tmp_path / "out.parquet"), 1)[0]
    total, count = np.zeros(320), np.zeros(320)
    for start in np.linspace(0, 220, 5).round().astype(int):
        total[start : start + 100] += predict(classifier, [text[start : start + 100]])[0, :, 1]
        count[start : start + 100] += 1
    np.testing.assert_allclose(found, total / count, atol=1e-5)
    predict_file(
        classifier, tmp_path / "rows.fa", tmp_path / "out.parquet", too_long="centre", max_bases=100
    )
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert np.flatnonzero(~np.isnan(lists(table, 1)[0])).tolist() == list(range(110, 210))
    assert set(table["predicted"][0][:110]) == {-1}


@pytest.fixture
def predicted(tune, store, sequence, tmp_path):
    """Overlapping intervals of both strands: the classifier, the genome's letters, the means."""
    letters = {"two": sequence(1, 400), "one": sequence(2, 200)}
    genome = read_genome(store("genome", letters))
    bed, classifier = tmp_path / "rows.bed", tune("per_base", 2, ["none", "site"])
    rows = [("one", 20, 80, "+"), ("two", 300, 350, "-"), ("two", 100, 160, "+")]
    rows.append(("two", 140, 200, "-"))
    bed.write_text("".join(f"{c}\t{s}\t{e}\tx\t0\t{strand}\n" for c, s, e, strand in rows))
    sums = {name: np.zeros((2, len(text))) for name, text in letters.items()}
    for contig, start, end, strand in rows:
        text = letters[contig][start:end]
        if strand == "-":
            text = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        own = predict(classifier, [text])[0, :, 1]
        sums[contig][0, start:end] += own if strand == "+" else own[::-1]
        sums[contig][1, start:end] += 1
    with np.errstate(invalid="ignore"):
        means = {name: total / count for name, (total, count) in sums.items()}
    return classifier, genome, bed, means


def test_a_bedgraph_holds_the_mean_of_every_interval_on_a_base(predicted, tmp_path):
    classifier, genome, bed, means = predicted
    folder = tmp_path / "out.tracks"
    predict_file(classifier, bed, tmp_path / "out.parquet", genome=genome, tracks=folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "none.bedgraph.gz",
        "site.bedgraph.gz",
    ]
    found = {name: np.full(len(own), np.nan) for name, own in means.items()}
    with gzip.open(folder / "site.bedgraph.gz", "rt") as file:
        lines = [line.split("\t") for line in file]
    for contig, start, end, value in lines:
        assert np.isnan(found[contig][int(start) : int(end)]).all()  # no base twice
        found[contig][int(start) : int(end)] = float(value)
    for name, own in means.items():
        np.testing.assert_allclose(found[name], own, atol=2e-5)
    assert [line[0] for line in lines] == sorted((line[0] for line in lines), reverse=True)
    assert not list(tmp_path.glob(".tracks-*"))
    with pytest.raises(InputError, match=r"out\.tracks is there and not an empty folder"):
        predict_file(classifier, bed, tmp_path / "out.parquet", genome=genome, tracks=folder)


def test_a_bigwig_holds_the_same(predicted, tmp_path):
    _, genome, _, _ = predicted
    values = np.stack([np.linspace(0, 1, 50), np.linspace(1, 0, 50)], axis=1)
    values[7] = np.nan
    with open_tracks(tmp_path / "tracks", "bigwig", genome, ["a/b", "site"]) as tracks:
        tracks.add("two", 30, values)
        tracks.add("two", 60, values)
    with pybigtools.open(str(tmp_path / "tracks" / "site.bw")) as file:
        assert file.chroms() == {"two": 400}  # the others hold nothing
        found = file.values("two", 0, 400, fillna=np.nan)
    for base in range(30, 110):
        own = [values[base - start, 1] for start in (30, 60) if start <= base < start + 50]
        known = [value for value in own if not np.isnan(value)]
        wanted = np.mean(known) if known else np.nan
        np.testing.assert_allclose(found[base], wanted, atol=2e-5)
    assert np.isnan(found[:30]).all()
    assert (tmp_path / "tracks" / "0.bw").is_file()  # a/b is no name of a file


def test_tracks_without_a_genome_are_refused(tune, tmp_path):
    (tmp_path / "rows.fa").write_text(">a\nACGT\n")
    with pytest.raises(InputError, match="tracks are of a per-base classifier and a genome"):
        predict_file(
            tune("per_base", 2),
            tmp_path / "rows.fa",
            tmp_path / "out.parquet",
            tracks=tmp_path / "tracks",
        )


def test_sums_have_no_name_that_a_killed_job_could_leave(store, sequence, tmp_path):
    genome = read_genome(store("genome", {"one": sequence(1, 300), "two": sequence(2, 200)}))
    folder = tmp_path / "out"
    folder.mkdir()
    with open_tracks(folder / "tracks", "bedgraph", genome, ["value"]) as tracks:
        tracks.add("two", 40, np.full((3, 1), 0.5, dtype=np.float32))
        tracks.add("one", 299, np.full((1, 1), 0.25, dtype=np.float32))
        tracks.add("two", 42, np.full((2, 1), 1.0, dtype=np.float32))
        (temporary,) = folder.iterdir()
        assert not list(temporary.iterdir())
    text = gzip.decompress((folder / "tracks" / "value.bedgraph.gz").read_bytes()).decode()
    assert text == "one\t299\t300\t0.25\ntwo\t40\t42\t0.5\ntwo\t42\t43\t0.75\ntwo\t43\t44\t1\n"


def test_a_full_disk_is_an_error_and_no_signal(store, sequence, tmp_path, monkeypatch):
    genome = read_genome(store("genome", {"one": sequence(1, 300)}))

    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    folder = tmp_path / "out"
    folder.mkdir()
    with (
        pytest.raises(NoSpaceError, match="is full"),
        open_tracks(folder / "tracks", "bedgraph", genome, ["value"]) as tracks,
    ):
        tracks.add("one", 0, np.ones((1, 1), dtype=np.float32))
    assert not list(folder.iterdir())


def test_a_row_whose_outputs_fill_the_memory_is_told_before(tune, tmp_path, monkeypatch, caplog):
    classifier, path = tune("per_base", 2), tmp_path / "rows.fa"
    path.write_text(f">a\n{'ACGTTGCA' * 40}\n")
    options = {"too_long": "tiles", "max_bases": 100}
    predict_file(classifier, path, tmp_path / "out.parquet", **options)
    assert "longest row" not in caplog.text
    monkeypatch.setattr("dnalm.benchmark.prediction.predict.MANY_BYTES", 1000)
    predict_file(classifier, path, tmp_path / "out.parquet", **options)
    assert "rows.fa: its longest row has 320 bases, whose outputs take about" in caplog.text
