"""What is read from the store is what stands in the FASTA file."""

import gzip
import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from isal import igzip

import dnalm
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases, write_bases, write_fasta
from dnalm.genome.kmers import to_sequence


def test_the_store_reads_back_like_pyfaidx_on_a_made_genome(tmp_path, store, sequence):
    pyfaidx = pytest.importorskip("pyfaidx")
    records = {f"c{i}": sequence(i, 500 * i + 3, 0.1 * (i % 2)) for i in range(5)}
    bases = GenomeBases.of(store("made", records))
    peer = pyfaidx.Fasta(str(tmp_path / "made.fa"))
    random = np.random.default_rng(0)
    for name, text in records.items():
        assert to_sequence(bases.read(name, 0, len(text))) == text
        for start, end in np.sort(random.integers(0, len(text) + 1, (20, 2))):
            found = to_sequence(bases.read(name, int(start), int(end)))
            assert found == (str(peer[name][int(start) : int(end)]) if end > start else "")
            assert found == to_sequence(bases.read_absolute(name, int(start), int(end)))


def test_the_store_reads_back_like_pyfaidx_on_a_real_genome(tmp_path, data_folder):
    pyfaidx = pytest.importorskip("pyfaidx")
    source = data_folder / "human_grch37_chr20_1-2Mb" / "20_1000001-2000000.fa.gz"
    paths = {key: tmp_path / key for key in ("bases", "contigs", "manifest")}
    write_bases(source, name="chr20", config={}, **paths)
    bases = GenomeBases(paths["bases"], paths["contigs"])
    (tmp_path / "plain.fa").write_bytes(gzip.decompress(source.read_bytes()))
    peer = pyfaidx.Fasta(str(tmp_path / "plain.fa"), sequence_always_upper=True)
    (record,) = peer.keys()
    for start in (0, 123_456, 999_000):
        expected = str(peer[record][start : start + 1000])
        assert to_sequence(bases.read("20", start, start + 1000)) == expected
        absolute = bases.read_absolute("20", 1_000_000 + start, 1_000_000 + start + 1000)
        assert to_sequence(absolute) == expected
    with pytest.raises(InputError, match="not stored"):
        bases.read_absolute("20", 999_999, 1_000_010)
    manifest = json.loads(paths["manifest"].read_text())
    assert (manifest["bases"], manifest["n"], manifest["contigs"]) == (1_000_000, 0, 1)


def test_the_array_is_a_plain_npy_and_the_table_plain_tsv(store):
    folder = store("x", {"20": "ACGT", "NA": "TTN", "21:11-15": "GGGGG"})
    assert np.load(folder / "bases.npy").tolist() == [0, 2, 3, 1, 1, 1, 4, 3, 3, 3, 3, 3]
    table = (folder / "contigs.tsv").read_text().splitlines()
    assert table == [
        "contig\tstart\tlength\toffset",
        "20\t0\t4\t0",
        "NA\t0\t3\t4",
        "21\t10\t5\t7",
    ]
    assert list(GenomeBases.of(folder).contigs["contig"]) == ["20", "NA", "21"]


def test_the_manifest_says_what_was_read(tmp_path, store):
    source = b">a\nACGTNRac\n>b\nAC\n"
    config = {"accession": "GCF_1.1", "url": "https://h/p.fa"}
    md5 = hashlib.md5(source).hexdigest()
    folder = store("x", {"a": "ACGTNRac", "b": "AC"}, md5=md5, **config)
    assert (tmp_path / "x.fa").read_bytes() == source
    assert json.loads((folder / "manifest.json").read_text()) == {
        "name": "x",
        "accession": "GCF_1.1",
        "source": "https://h/p.fa",
        "sha256": hashlib.sha256(source).hexdigest(),
        "md5": md5,
        "bases": 10,
        "n": 2,
        "soft_masked": 2,
        "iupac": 1,
        "contigs": 2,
        "simulated": False,
    }


def test_an_md5_is_recorded_only_where_one_is_given_to_check(store):
    manifest = json.loads((store("x", {"a": "ACGT"}) / "manifest.json").read_text())
    assert manifest["md5"] is None
    assert len(manifest["sha256"]) == 64


MEASURE = """
import sys
from pathlib import Path
from dnalm.genome.bases import write_bases

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

for name in sys.argv[1:]:
    places = {key: f"{name}.{key}" for key in ("bases", "contigs", "manifest")}
    write_bases(name, name="x", config={}, **places)
    print(peak())
"""


@pytest.mark.parametrize("line_end", ["\n", ""], ids=["lines of 60", "one line"])
def test_memory_does_not_grow_with_the_contig(tmp_path, line_end):
    line, names = "ACGTN" * 12 + line_end, []
    for lines in (50_000, 3_000_000):
        names.append(str(tmp_path / f"{lines}.fa.gz"))
        with igzip.open(names[-1], "wb") as file:
            file.write(b">x\n")
            for _ in range(0, lines, 50_000):
                file.write(line.encode() * 50_000)
    command = [sys.executable, "-c", MEASURE, *names]
    library = Path(dnalm.__file__).parents[1]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(library)}, capture_output=True, check=True
    )
    short, long = map(int, done.stdout.split())
    assert np.load(f"{names[-1]}.bases", mmap_mode="r").shape == (180_000_000,)
    # The longer contig has 177 MB more; both need the same, up to a few blocks of the heap.
    assert long - short < 8_000  # kB


def test_contigs_are_kept_and_renamed_as_asked(store):
    records = {"NC_1.1": "AAAA", "NW_2.1": "CCCC", "20:5-8": "GGGG"}
    renamed = GenomeBases.of(store("x", records, contigs={"20": "chr20", "NC_1.1": "chr1"}))
    assert list(renamed.contigs["contig"]) == ["chr1", "chr20"]
    assert to_sequence(renamed.read_absolute("chr20", 4, 8)) == "GGGG"
    listed = GenomeBases.of(store("y", records, contigs=["NW_2.1"]))
    assert list(listed.contigs["contig"]) == ["NW_2.1"]


def test_pieces_of_one_contig_may_go_to_one_name(store):
    records = {"1:1-4": "AAAA", "1:11-14": "CCCC"}
    bases = GenomeBases.of(store("x", records, contigs=dict.fromkeys(records, "chr1")))
    assert to_sequence(bases.read_absolute("chr1", 10, 13)) == "CCC"


def test_several_pieces_of_a_contig_are_found_by_absolute_coordinates(store):
    bases = GenomeBases.of(store("x", {"1:1-4": "AAAA", "1:11-14": "CCCC"}))
    assert to_sequence(bases.read_absolute("1", 10, 13)) == "CCC"
    with pytest.raises(InputError, match="not stored"):
        bases.read_absolute("1", 3, 6)
    with pytest.raises(ValueError, match="read_absolute"):
        bases.read("1", 0, 2)


@pytest.mark.parametrize(
    ("records", "config", "sentence"),
    [
        ({"a": "ACGT"}, {"sha256": "0" * 64}, "its sha256 is .*, expected 0000"),
        ({"a": "ACGT"}, {"md5": "0" * 32}, "its md5 is .*, expected 0000"),
        ({"chr1": "ACGT"}, {"contigs": ["1"]}, "no record 1 to keep; .* chr1"),
        ({"1:1-4": "AAAA", "1:4-7": "CCCC"}, {}, "the same bases of contig 1"),
        (
            {"a": "AAAA", "b": "CC"},
            {"contigs": {"a": "x", "b": "x"}},
            r"genomes\.bad\.contigs: a and b are both to be called x; give each",
        ),
        (
            {"a": "AAAA", "b": "CC"},
            {"contigs": {"a": "b", "b": None}},
            "a and b are both to be called b",
        ),
        ({"a": "ACGT"}, {"contigs": {}}, r"genomes\.bad\.contigs is empty; name the records"),
        ({"a": "ACGT"}, {"contigs": []}, r"genomes\.bad\.contigs is empty; name the records"),
        ({"a": "ACGT"}, {"contigs": {"a": "x\ty"}}, r"the new name 'x\\ty' of a is empty or has a"),
        ({"a": "ACGT"}, {"contigs": {"a": "x y"}}, "the new name 'x y' of a"),
        ({"a": "ACGT"}, {"contigs": {"a": ""}}, "the new name '' of a"),
        ({"a": "ACGT", "b": "AC?"}, {}, "no letter"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_no_output(tmp_path, store, records, config, sentence):
    with pytest.raises(InputError, match=sentence):
        store("bad", records, **config)
    assert [path for path in (tmp_path / "genomes").rglob("*") if path.is_file()] == []


def test_right_checksums_pass(tmp_path, store):
    (tmp_path / "peek.fa").write_text(">a\nACGT\n")
    data = (tmp_path / "peek.fa").read_bytes()
    sums = {"sha256": hashlib.sha256(data).hexdigest().upper()}
    store("good", {"a": "ACGT"}, md5=hashlib.md5(data).hexdigest(), **sums)


def test_unknown_contigs_and_intervals_outside_are_refused(store):
    bases = GenomeBases.of(store("x", {"chr1": "ACGT"}))
    with pytest.raises(InputError, match="no contig chr2; known are chr1"):
        bases.read("chr2", 0, 1)
    for start, end in ((-1, 2), (0, 5), (3, 2)):
        with pytest.raises(ValueError, match="outside"):
            bases.read("chr1", start, end)


def _read(bases: GenomeBases) -> str:
    return to_sequence(bases.read("b", 1, 4))


def test_the_store_may_be_forked_pickled_and_closed(store):
    bases = GenomeBases.of(store("x", {"a": "AAAA", "b": "ACGT"}))
    assert _read(bases) == "CGT"
    assert _read(pickle.loads(pickle.dumps(bases))) == "CGT"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_read, [bases] * 4) == ["CGT"] * 4
    bases.close()
    assert _read(bases) == "CGT"


def test_the_written_fasta_holds_the_stored_bases(tmp_path, store, sequence, monkeypatch):
    pyfaidx = pytest.importorskip("pyfaidx")
    monkeypatch.setattr("dnalm.genome.bases.FASTA_BLOCK_BASES", 120)
    records = {"a": sequence(1, 60), "b": sequence(2, 301, 0.1), "c:7-8": "ac"}
    folder = store("x", records)
    write_fasta(GenomeBases.of(folder), tmp_path / "out.fa")
    peer = pyfaidx.Fasta(str(tmp_path / "out.fa"))
    assert {r.name: str(r) for r in peer} == {n: t.upper() for n, t in records.items()}
    assert max(map(len, (tmp_path / "out.fa").read_text().splitlines())) == 60
    # What was written is read as the same store again.
    again = tmp_path / "again"
    write_bases(
        tmp_path / "out.fa",
        name="again",
        config={},
        bases=again / "bases.npy",
        contigs=again / "contigs.tsv",
        manifest=again / "manifest.json",
    )
    assert np.array_equal(np.load(again / "bases.npy"), np.load(folder / "bases.npy"))
    pd.testing.assert_frame_equal(GenomeBases.of(again).contigs, GenomeBases.of(folder).contigs)


@pytest.mark.parametrize(
    "header", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', } ape': (1", b"x" * 200]
)
def test_a_damaged_array_of_bases_is_refused(store, header):
    folder = store("g", {"c": "ACGT"})
    (folder / "bases.npy").write_bytes(header)
    with pytest.raises(InputError, match=r"bases\.npy is not the array of the 4 bases"):
        GenomeBases.of(folder).read("c", 0, 4)


@pytest.mark.parametrize(
    "row", ["c\t0\t4\t1", "c\t-1\t4\t0", "c\t0\t-4\t0", "c\t0\t5.5\t0", "c\t0\tx\t0", "c\t0"]
)
def test_contigs_that_do_not_follow_each_other_are_refused(store, row):
    folder = store("g", {"c": "ACGT"})
    (folder / "contigs.tsv").write_text(f"contig\tstart\tlength\toffset\n{row}\n")
    with pytest.raises(InputError, match=r"contigs\.tsv: .*make the genome's store"):
        GenomeBases.of(folder)


def test_an_array_of_fewer_bases_than_its_contigs_is_refused(store):
    folder = store("g", {"c": "ACGT"})
    (folder / "contigs.tsv").write_text("contig\tstart\tlength\toffset\nc\t0\t9\t0\n")
    with pytest.raises(InputError, match="is not the array of the 9 bases"):
        GenomeBases.of(folder).read("c", 0, 4)
