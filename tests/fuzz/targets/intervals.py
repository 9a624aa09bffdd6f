"""Intervals, gene models and what a second file says of elements, beside what pandas reads."""

import gzip
import io
import re
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.recipes.element_labels import label_by_motif, label_by_overlap
from dnalm.download.compression import GZIP_MAGIC
from dnalm.genome.annotation import Transcript, read_gtf, splice_sites
from dnalm.genome.intervals import read_bed
from fuzz.mutations import mutate_bytes, packed
from fuzz.target import Target
from fuzz.targets.making import text_file, word

CONTIGS = ("chr1", "chr2", "X", "chrUn_KI270742v1", "1")


def text_of(path: Path) -> str:
    """Return the text of a file that may be compressed."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    return data.decode("utf-8-sig")


def make_bed(random: Random, size: int) -> bytes:
    """Return a BED file of three to six columns, with comments and track lines."""
    columns, lines = random.choice((3, 4, 6)), []
    if random.random() < 0.3:
        lines.append(random.choice(("# made by hand", "track name=a", "browser position chr1:1-2")))
    for _ in range(3 * size):
        start = random.randrange(10 ** random.randint(1, 9))
        cells = [random.choice(CONTIGS), start, start + random.randint(1, 5000), word(random), 0]
        cells.append(random.choice("+-."))
        lines.append("\t".join(map(str, cells[:columns])))
    return text_file("\n".join(lines) + "\n", random)


def compare_bed(path: Path, found: pd.DataFrame) -> str:
    """Return how pandas reads the columns of a BED file otherwise."""
    lines = [line for line in text_of(path).splitlines() if not re.match("#|track|browser", line)]
    truth = pd.read_csv(
        io.StringIO("\n".join(lines)), sep="\t", header=None, dtype=str, na_filter=False
    )
    names = ["contig", "start", "end", "name", "score", "strand"]
    truth = truth.set_axis(names[: truth.shape[1]], axis=1)
    for column in truth.columns.drop("score", errors="ignore"):
        if found[column].astype(str).tolist() != truth[column].tolist():
            return f"{column}: {found[column].tolist()!r:.300} is {truth[column].tolist()!r:.300}"
    return ""


def bed(_: Path) -> Target:
    seeds = (
        b"chr1\t10\t20\ta\t0\t+\nchr2\t0\t5\tb\t0\t-\n",
        b"# a comment\ntrack name=x\nchr1 10 20\nchr1 30 40\n",
        b"#chrom\tstart\tend\tname\nchr1\t10\t20\ta\n",
    )
    return Target(
        name="bed",
        read=lambda path, _: read_bed(path),
        seeds=seeds,
        suffix=".bed",
        generate=make_bed,
        oracle=compare_bed,
        mutate=(packed(mutate_bytes),),
        weight=3,
    )


def narrow_peak(_: Path) -> Target:
    def read(path: Path, _: Path) -> Any:
        by_number = read_bed(path, summit=10)
        return by_number["summit"].tolist(), read_bed(path, name=4, strand=None)["end"].sum()

    seeds = (
        b"chr1\t100\t200\tp1\t0\t.\t5.1\t-1\t3.2\t50\nchr1\t300\t400\tp2\t9\t+\t1\t2\t3\t-1\n",
        b"chr1\t100\t200\tp1\t0\t.\t5.1\t-1\t3.2\t.\n",
    )
    return Target(
        name="narrow_peak",
        read=read,
        seeds=seeds,
        suffix=".narrowPeak",
        mutate=(packed(mutate_bytes),),
        weight=2,
    )


def make_models(random: Random, size: int) -> bytes:
    """Return the transcripts of a GTF or GFF3 file."""
    is_gff, lines = random.random() < 0.4, []
    for gene in range(size):
        contig, strand = random.choice(CONTIGS), random.choice("+-")
        at, name = random.randint(1, 10**6), f"{word(random)}{gene}"
        quoted = f'gene_id "{name}"; transcript_id "{name}.1"; level {random.randint(1, 3)};'
        told = f"ID=e;Parent={name}.1;gene_id={name}" if is_gff else quoted
        lines.append(f'{contig}\tx\tgene\t{at}\t{at + 9999}\t.\t{strand}\t.\tgene_id "{name}";')
        for _ in range(random.randint(1, 4)):
            end = at + random.randint(0, 300)
            for kind in ("exon", "CDS") if random.random() < 0.5 else ("exon",):
                lines.append(f"{contig}\tx\t{kind}\t{at}\t{end}\t.\t{strand}\t.\t{told}")
            at = end + random.randint(2, 1000)
    return text_file("##gff-version 3\n" * is_gff + "\n".join(lines) + "\n", random)


def compare_models(path: Path, found: list[Transcript]) -> str:
    """Return how pandas reads the exons of transcripts otherwise."""
    names = ["contig", "source", "kind", "start", "end", "score", "strand", "frame", "attributes"]
    text = "\n".join(line for line in text_of(path).splitlines() if not line.startswith("#"))
    truth = pd.read_csv(io.StringIO(text), sep="\t", header=None, names=names, quoting=3)
    exons = truth[truth["kind"] == "exon"]
    ids = exons["attributes"].str.extract(r'(?:transcript_id "|Parent=)([^";]+)')[0]
    wanted = {
        name: sorted(zip(rows["start"] - 1, rows["end"], strict=True))
        for name, rows in exons.groupby(ids)
    }
    read = {one.name: [tuple(span) for span in one.exons] for one in found}
    return "" if read == wanted else f"{read!r:.400} is {wanted!r:.400}"


def gene_models(_: Path) -> Target:
    def read(path: Path, _: Path) -> list[Transcript]:
        found = read_gtf(path)
        splice_sites(found[:50], 10)
        return found

    gtf = b'chr1\tx\texon\t10\t20\t.\t+\t.\tgene_id "g"; transcript_id "t"; level 2;\n'
    gtf += b'chr1\tx\texon\t50\t90\t.\t+\t.\tgene_id "g"; transcript_id "t"; level 2;\n'
    gtf += b'chr1\tx\tCDS\t55\t60\t.\t+\t0\tgene_id "g"; transcript_id "t"; level 2;\n'
    gff = b"##gff-version 3\nchr1\tx\tmRNA\t1\t90\t.\t-\t.\tID=t\n"
    gff += b"chr1\tx\texon\t1\t30\t.\t-\t.\tParent=t,u\nchr1\tx\texon\t60\t90\t.\t-\t.\tParent=t\n"
    gff += b"##FASTA\n>chr1\nACGT\n"
    return Target(
        name="gene_models",
        read=read,
        seeds=(gtf, gff),
        suffix=".gtf",
        generate=make_models,
        oracle=compare_models,
        mutate=(packed(mutate_bytes),),
    )


def _elements() -> pd.DataFrame:
    places = {"contig": ["chr1", "chr1", "chr2"], "start": [10, 50, 5], "end": [20, 60, 9]}
    return pd.DataFrame({**places, "name": ["a_1", "b_1", "c_1"], "label": [1, 1, -1]})


def motif_table(_: Path) -> Target:
    build = {"motifs_column": "TATA-box", "labels_by_motif": {"1": 1, 0: 2}}

    def read(path: Path, _: Path) -> list[int]:
        elements = _elements()
        label_by_motif(elements, build, str(path), "mine.x")
        return elements["label"].tolist()

    seeds = (b"#Name TATA-box Inr\na_1 1 0\nb_1 0 1\n", b"Name\tTATA-box\na_1\t1\n")
    return Target(
        name="motif_table",
        read=read,
        seeds=seeds,
        mutate=(packed(mutate_bytes),),
        weight=1.5,
    )


def region_types(_: Path) -> Target:
    build = {"types_column": "component", "types_pattern": "Tissue", "types_label": 2}

    def read(path: Path, _: Path) -> list[int]:
        elements = _elements()
        label_by_overlap(elements, build, [str(path)])
        return elements["label"].tolist()

    seeds = (
        b"seqname\tstart\tend\tcomponent\nchr1\t15\t18\tTissue invariant\nchr2\t1\t2\tNeural\n",
        b"#chrom\tchromStart\tchromEnd\tcomponent\nchr1\t55\t58\tTissue\n",
    )
    return Target(name="region_types", read=read, seeds=seeds, mutate=(packed(mutate_bytes),))
