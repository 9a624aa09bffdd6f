"""Copies of genomes on a node's own disk."""

import shutil

import numpy as np
import pytest

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.parallel.distributed import Group
from dnalm.training import scratch
from dnalm.training.scratch import copy_genomes, copy_panel


def store(folder, keep=None):
    """Write the bases of two contigs, or of those to keep, into a new folder."""
    folder.mkdir()
    source = folder.parent / "genome.fa"
    source.write_text(">a\nACGTACGT\n>b\nTTTTGGGG\n")
    files = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    paths = {key: folder / name for key, name in files.items()}
    write_bases(source, name="g", config={"contigs": keep} if keep else {}, **paths)
    return folder


def test_a_copy_holds_the_same_bases_and_is_made_once(tmp_path):
    folder = store(tmp_path / "g")
    first = copy_genomes({"g": folder}, tmp_path / "scratch", Group(None))["g"]
    assert GenomeBases.of(first).read("b", 0, 8).tolist() == [1, 1, 1, 1, 3, 3, 3, 3]
    made = first.stat().st_mtime_ns
    assert copy_genomes({"g": folder}, tmp_path / "scratch", Group(None)) == {"g": first}
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == [first.name]


def test_other_contigs_of_the_same_file_are_another_copy(tmp_path):
    genomes = {"all": store(tmp_path / "all"), "b": store(tmp_path / "b", keep=["b"])}
    copies = copy_genomes(genomes, tmp_path / "scratch", Group(None))
    assert copies["all"] != copies["b"]
    assert GenomeBases.of(copies["all"]).bases == 16
    assert np.array_equal(GenomeBases.of(copies["b"]).read("b", 0, 4), [1, 1, 1, 1])


def test_haplotypes_are_copied_once_and_anew_when_they_are_others(tmp_path):
    panel = tmp_path / "panel"
    (panel / "20").mkdir(parents=True)
    (panel / "20/carried.npy").write_bytes(b"runs")
    haplotypes = {"contigs": {"20": {"digest": "a"}}}
    first = copy_panel(panel, haplotypes, tmp_path / "scratch", Group(None))
    assert (first / "20/carried.npy").read_bytes() == b"runs"
    assert copy_panel(panel, haplotypes, tmp_path / "scratch", Group(None)) == first
    others = {"contigs": {"20": {"digest": "b"}}}
    assert copy_panel(panel, others, tmp_path / "scratch", Group(None)) != first


def test_a_copy_that_another_job_finished_meanwhile_is_used(tmp_path, monkeypatch):
    folder = store(tmp_path / "g")
    target = copy_genomes({"g": folder}, tmp_path / "other", Group(None))["g"].name
    whole = shutil.copytree

    def copy_slowly(source, destination):
        whole(source, destination)
        whole(source, tmp_path / "scratch" / target)  # the other job ends first

    monkeypatch.setattr(scratch.shutil, "copytree", copy_slowly)
    copy = copy_genomes({"g": folder}, tmp_path / "scratch", Group(None))["g"]
    assert GenomeBases.of(copy).bases == 16
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == [target]


def test_a_copy_that_fails_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(source, destination):
        destination.mkdir()
        raise OSError("no space left on device")

    monkeypatch.setattr(scratch.shutil, "copytree", fail)
    with pytest.raises(OSError, match="no space"):
        copy_genomes({"g": store(tmp_path / "g")}, tmp_path / "scratch", Group(None))
    assert list((tmp_path / "scratch").iterdir()) == []
