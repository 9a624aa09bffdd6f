"""FASTA files, the store of a genome, compressed files, and what is wrong with downloads."""

import gzip
import io
import re
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyfaidx
import pysam

from dnalm.download.compression import GZIP_MAGIC, is_truncated_bgzf, is_whole_bgzf, open_binary
from dnalm.download.integrity import find_damage, is_web_page
from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.fasta import read_fasta
from dnalm.genome.kmers import to_sequence
from fuzz.mutations import bgzip, mutate_bytes, packed
from fuzz.target import Target
from fuzz.targets.making import sequence, text_file, word, words

SEEDS = (
    b">one first record\nACGTNNAC\nacgtRYKM\n>two\nACG\n",
    b">chr1:11-20\nACGTACGTAC\n>chr1:31-35\nACGTA\n",
    b">rna\r\nACGU\r\n\r\nUUUU\r\n",
    gzip.compress(b">one\nACGT\n", mtime=0),
    bgzip(b">one\nACGT\n>two\nAC\n"),
    b">long\n" + b"ACGTNacgtn" * 700 + b"\n",
)


def make_fasta(random: Random, size: int) -> bytes:
    """Return records of one line width each, as an index needs them."""
    lines = []
    for name in words(random, size):
        width, length = random.randint(1, 80), random.randint(1, 40 * size)
        letters = sequence(random, length)
        if length >= 2 and 2 * len(re.sub("[ACGTNacgtn]", "", letters)) > length:
            letters = "A" * length
        if 2 * sum(a not in "ACGTNacgtn" for a in letters) > length:
            letters = "a" * length
        rest = f" {word(random)} >{word(random)}" if random.random() < 0.3 else ""
        lines.append(f">{name}{rest}")
        lines += [letters[at : at + width] for at in range(0, length, width)]
    return text_file("\n".join(lines) + "\n", random)


def as_bases(letters: str) -> str:
    """Return letters in upper case, with N for codes of several bases."""
    return re.sub("[^ACGTN]", "N", letters.upper().replace("U", "T"))


def read_records(path: Path, _: Path) -> list[tuple[str, str]]:
    """Return name and bases of every record."""
    found = []
    for contig in read_fasta(path):
        blocks = list(contig.blocks)
        found.append((contig.record, to_sequence(np.concatenate(blocks))))
    return found


def truth_of(path: Path) -> list[tuple[str, str]]:
    """Return what pysam reads of a FASTA file and, where it is plain text, pyfaidx too."""
    data = path.read_bytes()
    plain = path.with_name("truth.fa")
    Path(f"{plain}.fai").unlink(missing_ok=True)
    text = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    plain.write_bytes(text.removeprefix(b"\xef\xbb\xbf"))
    with pysam.FastxFile(str(plain)) as file:
        found = [(record.name, as_bases(record.sequence)) for record in file]
    with pyfaidx.Fasta(str(plain), as_raw=True) as file:
        other = [(name, as_bases(str(file[name][:]))) for name in file.keys()]  # noqa: SIM118
    if found != other:
        raise AssertionError(f"pysam {found!r:.300} and pyfaidx {other!r:.300} differ")
    return found


def compare_records(path: Path, found: list[tuple[str, str]]) -> str:
    """Return how pysam and pyfaidx read a file otherwise."""
    wanted = truth_of(path)
    return "" if found == wanted else f"{found!r:.500} is {wanted!r:.500}"


def fasta(_: Path) -> Target:
    return Target(
        name="fasta",
        read=read_records,
        seeds=SEEDS,
        suffix=".fa",
        generate=make_fasta,
        oracle=compare_records,
        mutate=(packed(mutate_bytes),),
        weight=4,
    )


def genome_store(_: Path) -> Target:
    def read(path: Path, out: Path) -> list[tuple[str, str]]:
        paths = {"bases": out / "bases.npy", "contigs": out / "contigs.tsv"}
        write_bases(path, name="g", config={}, manifest=out / "manifest.json", **paths)
        store = GenomeBases(paths["bases"], paths["contigs"])
        try:
            rows = store.contigs.itertuples()
            return [
                (row.contig, to_sequence(store.read_at(row.offset, row.length))) for row in rows
            ]
        finally:
            store.close()

    return Target(
        name="genome_store",
        read=read,
        seeds=SEEDS,
        suffix=".fa",
        generate=make_fasta,
        oracle=compare_records,
        mutate=(packed(mutate_bytes),),
    )


def make_gzip(random: Random, size: int) -> bytes:
    """Return random data as members, blocks or both kinds of stored and packed data."""
    data = random.choice((random.randbytes, lambda n: b"ACGT\n" * (n // 5)))(
        random.randrange(400 * size)
    )
    kind = random.randrange(4)
    if kind == 0:
        return data if not data.startswith((GZIP_MAGIC, b"\xef\xbb\xbf")) else b"x" + data
    if kind == 1:
        return bgzip(data)
    file = io.BytesIO()
    for begin in range(0, max(1, len(data)), 97 if kind == 2 else max(1, len(data))):
        level, name = random.randrange(10), random.choice(("", "name.fa"))
        with gzip.GzipFile(name, "wb", level, file, mtime=random.randrange(9)) as member:
            member.write(data[begin : begin + 97] if kind == 2 else data)
    return file.getvalue() + b"\0" * random.choice((0, 0, 0, 7, 512))


def gzip_data(_: Path) -> Target:
    def read(path: Path, __: Path) -> bytes:
        with open_binary(path) as file:
            found = file.read()
        is_truncated_bgzf(path)
        is_whole_bgzf(path)
        return found

    def compare(path: Path, found: bytes) -> str:
        data = path.read_bytes()
        if not data.startswith(GZIP_MAGIC):
            wanted = data
        else:
            try:
                wanted = gzip.decompress(data)
            except OSError:  # bytes behind the end, which are left out with a warning
                wanted = found
            except zlib.error:
                return f"{found!r:.300} was read of damaged data"
            except EOFError:
                return f"{found!r:.300} was read of a truncated file"
        wanted = wanted.removeprefix(b"\xef\xbb\xbf")
        return "" if found == wanted else f"{found!r:.300} is {wanted!r:.300}"

    seeds = (gzip.compress(b"ACGT" * 30, mtime=0), bgzip(b"ACGT" * 30), b"ACGT")
    return Target(
        name="gzip_data",
        read=read,
        seeds=seeds,
        suffix=".gz",
        generate=make_gzip,
        oracle=compare,
        always=True,
        weight=3,
    )


def download_damage(_: Path) -> Target:
    names = ("a.fa.gz", "a.vcf.gz", "a.bed", "a.safetensors", "a.parquet", "vocab.txt", "a.csv.gz")

    def read(path: Path, __: Path) -> Any:
        data = path.read_bytes()
        for name in (None, *names):
            said = find_damage(path, name)
            assert said is None or said.isprintable(), said
        return is_web_page(data[:512])

    return Target(
        name="download_damage",
        read=read,
        seeds=(*SEEDS, b"<html>", b'{"a": 1}'),
        weight=2,
    )
