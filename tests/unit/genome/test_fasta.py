"""FASTA is read as pyfaidx reads it, and bad files end in one sentence."""

import bz2
import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.genome.fasta import read_fasta
from dnalm.genome.kmers import to_codes, to_sequence
from dnalm.genome.letters import Counts


@dataclass
class Whole:
    """A contig with all its codes at once."""

    record: str
    name: str
    start: int
    codes: np.ndarray
    counts: Counts


def read_whole(path: Path) -> list[Whole]:
    contigs = []
    for contig in read_fasta(path):
        codes = np.concatenate(list(contig.blocks))
        contigs.append(Whole(contig.record, contig.name, contig.start, codes, contig.counts))
    return contigs


def read_text(tmp_path, text: str | bytes, name: str = "x.fa") -> list[Whole]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_whole(path)


@pytest.mark.parametrize("block", [1, 2, 7, 61, 100, 5000, 1 << 18])
def test_contigs_are_read_across_blocks_like_pyfaidx_does(tmp_path, sequence, monkeypatch, block):
    pyfaidx = pytest.importorskip("pyfaidx")
    monkeypatch.setattr("dnalm.genome.fasta.BLOCK_BYTES", block)
    texts = {f"c{i}": sequence(i, 137 * i + 1, 0.05 * i) for i in range(6)}
    lines = []
    for name, text in texts.items():
        lines.append(f">{name} some words > here")
        lines += [text[at : at + 60] for at in range(0, len(text), 60)]
    path = tmp_path / "x.fa"
    path.write_text("\n".join(lines) + "\n")
    zipped = tmp_path / "x.fa.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    peer = pyfaidx.Fasta(str(path))
    for source in (path, zipped):
        found = {contig.name: to_sequence(contig.codes) for contig in read_whole(source)}
        assert found == {record.name: str(record) for record in peer}


def test_letters_are_counted_and_replaced(tmp_path):
    (contig,) = read_text(tmp_path, ">x\nACGTacgtNn\nRyACGTACGTACG\n")
    assert to_sequence(contig.codes) == "ACGTACGTNNNNACGTACGTACG"
    # Lower-case: acgt, n and y; replaced by N: R and y.
    assert contig.counts == Counts(bases=23, n=4, soft_masked=6, iupac=2)


def test_every_iupac_code_is_read_as_n_in_either_case(tmp_path):
    codes = "RYSWKMBDHV"
    (contig,) = read_text(tmp_path, f">x\n{'ACGT' * 10}{codes}{codes.lower()}\n")
    assert to_sequence(contig.codes) == "ACGT" * 10 + "N" * 20
    assert contig.counts == Counts(bases=60, n=20, soft_masked=10, iupac=20)


@pytest.mark.parametrize(
    "text",
    [">x\r\nACGT\r\nAC\r\n", ">x\nACGTAC", "\n\n>x\nAC\n\nGTAC\n\n", ">x words\nAC GT\tAC\n"],
    ids=["Windows line ends", "no last line end", "blank lines", "blanks"],
)
def test_line_layout_does_not_matter(tmp_path, text):
    (contig,) = read_text(tmp_path, text)
    assert contig.name == "x"
    assert to_sequence(contig.codes) == "ACGTAC"


@pytest.mark.parametrize("width", [1, 59, 60, 64, 10_000])
def test_lines_of_one_length_and_odd_ones_between_them_are_read_alike(tmp_path, sequence, width):
    text = sequence(1, 20_011, 0.1)
    regular = [text[at : at + width] for at in range(0, len(text), width)]
    odd = ["ACG", "", *regular[:200], "A", "", *regular[200:], text[: width // 2]]
    # Two lines that fill, with the line end between them, the place of one.
    halves = [text[: (width - 1) // 2], text[: width - 1 - (width - 1) // 2]]
    hidden = [*regular[:100], *halves, *regular[100:]]
    for lines in (regular, odd, hidden):
        (contig,) = read_text(tmp_path, ">x\n" + "\n".join(lines))
        assert to_sequence(contig.codes) == "".join(lines)
        assert contig.counts.n == "".join(lines).count("N")


def test_letters_are_counted_in_long_and_short_stretches(tmp_path):
    random = np.random.default_rng(1)
    for size in (1, 127, 128, 129, 5000):
        text = "".join(
            random.choice(list("ACGTNacgtnRYk"), size, p=[0.09] * 10 + [0.04, 0.03, 0.03])
        )
        (contig,) = read_text(tmp_path, f">x\n{text}\n")
        assert contig.counts == Counts(
            bases=size,
            n=sum(letter in "NnRYk" for letter in text),
            soft_masked=sum(letter.islower() for letter in text),
            iupac=sum(letter in "RYk" for letter in text),
        )
        assert np.array_equal(contig.codes, to_codes(text))


@pytest.mark.parametrize("place", [0, 100, 127, 128, 4999])
def test_a_letter_that_is_not_dna_is_found_anywhere(tmp_path, sequence, place):
    text = sequence(1, 5000)
    for letter in "!@[`{~éX":
        with pytest.raises(InputError, match="record x contains"):
            read_text(
                tmp_path, f">x\n{text[:place]}{letter}{text[place + 1 :]}\n".encode("latin-1")
            )


def test_a_contig_that_nobody_reads_is_checked_all_the_same(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">x\nACGT\n>y\nACGT!\n>z\nACGT\n")
    names = []
    with pytest.raises(InputError, match="record y contains '!'"):
        names.extend(contig.name for contig in read_fasta(path))
    assert names == ["x", "y"]


def test_a_piece_has_absolute_coordinates(tmp_path):
    whole, piece, odd = read_text(
        tmp_path, ">chr1\nACGT\n>20:1001-1006\nACGTAC\n>HLA*01:01:02\nA\n"
    )
    assert (whole.name, whole.start) == ("chr1", 0)
    assert (piece.record, piece.name, piece.start) == ("20:1001-1006", "20", 1000)
    assert (odd.name, odd.start) == ("HLA*01:01:02", 0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("<!DOCTYPE html>\n<html>", "it is a web page"),
        ("id,sequence\n1,ACGT\n", "it is not FASTA"),
        (">x\n>y\nACGT\n", "record x has no sequence"),
        (">x\nACGT\n>y\nAC\n>x\nAC\n", "two records are named x"),
        (">x\nACGT\n>\nAC\n", "no name"),
        (">x\nAC-GT\n", "'-', which is no letter"),
        (">x\nACGT*\n", r"'\*', which is no letter"),
        (">x\nMKVLAWSEDF\n", "record x contains 'L', which is no code of DNA; give DNA of"),
        (">x\nACGT\n>y\nACGTe\n", "record y contains 'e', which is no code of DNA"),
        (">x\nACGX\n", "'X', which is no code of DNA"),
        (">x\nMKVSWKAVDH\n", "as in proteins"),
        (">a\nMKVLAUWSEDF\n", "record a contains 'L', which is no code of DNA"),
        (f">a:1-{'9' * 5000}\nACGT\n", r"a number of more than 18 digits; correct its name"),
        (f">a:{'9' * 19}-{'9' * 20}\nACGT\n", r"a number of more than 18 digits"),
        (">20:1000-1006\nACGTAC\n", "holds 6; correct its name"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_bad_files_end_in_one_sentence(tmp_path, text, sentence, compressed):
    data = gzip.compress(text.encode()) if compressed else text.encode()
    with pytest.raises(InputError, match=sentence) as caught:
        read_text(tmp_path, data)
    assert str(tmp_path / "x.fa") in str(caught.value)
    assert "\n" not in str(caught.value)


def read_plain(folder, text, compressed):
    """Return (record, codes, counts) of every contig of bytes, compressed or not."""
    found = read_text(folder, gzip.compress(text) if compressed else text)
    return [(contig.record, contig.codes.tolist(), contig.counts) for contig in found]


@pytest.mark.parametrize("compressed", [False, True])
def test_rna_is_read_as_dna_and_its_letters_u_are_counted(tmp_path, caplog, compressed):
    rna = b">a\nACGU\nuuN\n>b\nACGT\n"
    dna = rna.replace(b"U", b"T").replace(b"u", b"t")
    assert read_plain(tmp_path, rna, compressed) == read_plain(tmp_path, dna, compressed)
    assert "3 letters U of record a are read as T" in caplog.text


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("text", [">a\nACGT\n>b\nTT\n", ">a\nA", "\n>a\nACGT"])
def test_a_byte_order_mark_is_no_part_of_a_genome(tmp_path, text, compressed):
    plain = read_plain(tmp_path, text.encode(), compressed)
    assert read_plain(tmp_path, text.encode("utf-8-sig"), compressed) == plain


FOREIGN = {
    "2bit": (b"\x43\x27\x41\x1a" + bytes(12), "a 2bit file, not FASTA; .*twoBitToFa"),
    "2bit of other machines": (b"\x1a\x41\x27\x43" + bytes(12), "a 2bit file, not FASTA"),
    "zip": (b"PK\x03\x04" + bytes(30), "a zip archive, not FASTA; unpack it with `unzip`"),
    "bzip2": (bz2.compress(b">x\nACGT\n"), "compressed by bzip2"),
    "xz": (lzma.compress(b">x\nACGT\n"), "compressed by xz"),
    "UTF-16": (">x\nACGT\n".encode("utf-16"), "UTF-16 text, not FASTA; save it as UTF-8"),
}


@pytest.mark.parametrize(("data", "sentence"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_kind_is_named_with_what_converts_it(tmp_path, data, sentence):
    for name, content in (("x.fa", data), ("x.fa.gz", gzip.compress(data))):
        with pytest.raises(InputError, match=sentence):
            read_text(tmp_path, content, name)


def test_a_byte_order_mark_is_no_part_of_the_first_header(tmp_path):
    text = b"\xef\xbb\xbf>x\r\nACGT\r\n"
    for name, content in (("x.fa", text), ("x.fa.gz", gzip.compress(text))):
        (contig,) = read_text(tmp_path, content, name)
        assert (contig.record, contig.codes.tolist()) == ("x", to_codes("ACGT").tolist())


def test_bytes_behind_a_complete_gzip_file_do_not_cost_its_end(tmp_path, sequence):
    text = f">x\n{sequence(1, 5000)}\n>y\nACGT\n".encode()
    (contig, other) = read_text(tmp_path, gzip.compress(text) + b"an index\n", "x.fa.gz")
    assert np.array_equal(contig.codes, to_codes(sequence(1, 5000)))
    assert np.array_equal(other.codes, to_codes("ACGT"))


@pytest.mark.parametrize("digits", ["²", "٣"])
def test_odd_numbers_in_a_name_are_letters_of_it(tmp_path, digits):
    (contig,) = read_text(tmp_path, f">x:{digits}-{digits}\nACGT\n")
    assert (contig.name, contig.start) == (f"x:{digits}-{digits}", 0)


@pytest.mark.parametrize("left", [5, 11, 100, -1])
def test_truncated_gzip_is_told(tmp_path, sequence, left):
    data = gzip.compress(f">x\n{sequence(1, 5000)}\n".encode())
    with pytest.raises(InputError, match="truncated or damaged"):
        read_text(tmp_path, data[:left], "x.fa.gz")


def test_damaged_gzip_is_told(tmp_path, sequence):
    data = bytearray(gzip.compress(f">x\n{sequence(1, 5000)}\n".encode()))
    data[700:720] = bytes(20)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_text(tmp_path, bytes(data), "x.fa.gz")


def test_bgzip_cut_between_its_blocks_is_told(tmp_path, sequence):
    pysam = pytest.importorskip("pysam")
    path = tmp_path / "x.fa.gz"
    text = f">x\n{sequence(1, 100_000)}\n"
    with pysam.BGZFile(str(path), "w") as file:
        file.write(text.encode())
    data = path.read_bytes()
    (contig,) = read_whole(path)
    assert len(contig.codes) == 100_000
    path.write_bytes(data[:-28])
    with pytest.raises(InputError, match="the file is truncated"):
        read_whole(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_whole(tmp_path / "nowhere.fa")


def test_real_genomes_equal_pyfaidx(data_folder, tmp_path):
    pyfaidx = pytest.importorskip("pyfaidx")
    for name in (
        "human_grch37_chr1_0-1Mb/1_1-1000000",
        "multispecies/drosophila_melanogaster_1pct",
    ):
        path = data_folder / f"{name}.fa.gz"
        plain = tmp_path / f"{path.name}.plain"
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        peer = pyfaidx.Fasta(str(plain))
        contigs = read_whole(path)
        assert [contig.record for contig in contigs] == list(peer.keys())
        for contig in contigs:
            text = str(peer[contig.record])
            assert np.array_equal(contig.codes, to_codes(text))
            assert contig.counts.soft_masked == sum(letter.islower() for letter in text)
            assert contig.counts.n == len(text) - sum(text.upper().count(b) for b in "ACGT")


def test_names_that_are_no_utf8_are_read_as_latin1_and_stay_apart(tmp_path):
    names = [whole.record for whole in read_text(tmp_path, b">caf\xe9\nACGT\n>caf\xe8\nACGT\n")]
    assert names == ["café", "cafè"]


@pytest.mark.parametrize("name", [b"a\0b", b"a\x1bb", b"\xff\xfe\0\x01", b"a\x85b"])
def test_a_name_with_control_characters_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="in its name that cannot be shown; rename it"):
        read_text(tmp_path, b">c1\nACGT\n>" + name + b"\nACGT\n")


@pytest.mark.parametrize("text", ["ACGT", "ACGT\r>d\rGGTT", "AC\rGT\r"])
def test_line_ends_of_old_macs_are_named(tmp_path, text):
    with pytest.raises(InputError, match=r"in CR alone; write them anew with `tr '.r' '.n'`"):
        read_text(tmp_path, f">c\r{text}")
