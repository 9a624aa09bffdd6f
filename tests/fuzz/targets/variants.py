"""Panels of genotypes, beside the haplotypes that `bcftools consensus` makes; their indexes."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.haplotypes.build import build_haplotypes
from dnalm.genome.haplotypes.placing import PanelConfig
from dnalm.genome.haplotypes.populations import read_populations
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.kmers import to_sequence
from dnalm.genome.vcf import index_variants
from fuzz.mutations import bgzip, mutate_bytes, packed
from fuzz.target import Target
from fuzz.targets.making import sequence, table, text_file, word, words

BASES = 240
SAMPLES = ("s0", "s1", "s2")
OPTIONS = {
    "samples": None,
    "unphased": "resolve",
    "symbolic_deletions": "reference",
    "largest_mismatch": 0.0,
}
HEADER = (
    "##fileformat=VCFv4.4\n##contig=<ID=c,length=240>\n##contig=<ID=d>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n'
    '##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Type">\n'
    '##ALT=<ID=DEL,Description="Deletion">\n##ALT=<ID=INS,Description="Insertion">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(SAMPLES) + "\n"
)


class Reference:
    """A stored genome of one contig, c, and its FASTA file."""

    def __init__(self, folder: Path) -> None:
        self.fasta = folder / "c.fa"
        self.text = sequence(Random(11), BASES, "ACGT")
        self.fasta.write_text(f">c\n{self.text}\n")
        paths = {"bases": folder / "bases.npy", "contigs": folder / "contigs.tsv"}
        write_bases(self.fasta, name="g", config={}, manifest=folder / "manifest.json", **paths)
        pysam.faidx(str(self.fasta))
        self.genome = GenomeBases(paths["bases"], paths["contigs"])
        self.codes = self.genome.read_at(0, BASES)
        self.genome.close()

    def build(self, path: Path, out: Path, index: Path | None = None) -> dict[str, tuple[str, ...]]:
        """Return the haplotypes of each sample that the library makes of a file."""
        genome = GenomeBases(self.genome.bases_path, self.genome.contigs_path)
        try:
            build_haplotypes(
                PanelConfig(**OPTIONS),
                variants=path,
                index=index,
                genome=genome,
                contig="c",
                folder=out / "store",
            )
        finally:
            genome.close()
        store = HaplotypeStore(out / "store")
        numbers = np.arange(2 * len(store.samples))
        made, lengths = store.read(
            self.codes, 0, numbers, np.zeros(len(numbers), np.int64), 8 * BASES
        )
        texts = [to_sequence(row[:length]) for row, length in zip(made, lengths, strict=True)]
        return {
            name: tuple(texts[2 * at : 2 * at + int(store.ploidies[at])])
            for at, name in enumerate(store.samples)
        }

    def wrong(self, path: Path, found: dict[str, tuple[str, ...]]) -> str:
        """Return which haplotype bcftools makes otherwise."""
        whole = path.with_name("whole.vcf.gz")
        pysam.bcftools.view("-Oz", "-o", str(whole), "--no-version", str(path), catch_stdout=False)
        pysam.bcftools.index("--csi", "--force", str(whole))
        for sample, haplotypes in found.items():
            for number, text in enumerate(haplotypes, start=1):
                options = ("-f", str(self.fasta), "-s", sample, "-H", f"{number}pIu")
                _, *lines = pysam.bcftools.consensus(*options, str(whole)).split("\n")
                wanted = "".join(a if a in "ACGT" else "N" for a in "".join(lines).upper())
                if text != wanted:
                    return f"{sample}, haplotype {number}: {text} is {wanted}"
        return ""


def make_records(reference: str, random: Random, size: int) -> list[str]:
    """Return sorted records on c, with a few on d: genotypes of all kinds, alleles of all kinds."""
    positions = sorted(random.randint(1, BASES - 8) for _ in range(2 * size))
    haploid = random.choice((None, None, 0, 2))  # a sample whose calls are all haploid
    lines = []
    for position in positions:
        length = random.choice((1, 1, 1, 2, 4))
        ref = reference[position - 1 : position - 1 + length]
        # In upper case: of lower-case letters bcftools does not see the anchor of an insertion.
        alts = [_allele(ref, random) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        alts = [alt for alt in dict.fromkeys(alts) if alt.upper() != ref.upper()] or [ref + "A"]
        info = "."
        calls = [_call(random, len(alts), haploid == at) for at in range(len(SAMPLES))]
        keys, rest = random.choice((("GT", ""), ("GT", ""), ("GT:DP", ":7")))
        cells = (
            "c",
            position,
            random.choice((".", "rs1")),
            ref,
            ",".join(alts),
            ".",
            "PASS",
            info,
            keys,
        )
        lines.append("\t".join(map(str, (*cells, *(call + rest for call in calls)))))
    if random.random() < 0.3:
        lines.append(
            "\t".join(("d", "5", ".", "A", "C", ".", ".", ".", "GT", *["0|1"] * len(SAMPLES)))
        )
    return lines


def _allele(reference: str, random: Random) -> str:
    kind = random.random()
    if kind < 0.5:
        return reference[:-1] + random.choice("ACGT")
    if kind < 0.7:
        return reference[0] + sequence(random, random.randint(1, 12), "ACGT")
    if kind < 0.85:
        return reference[0]
    # Neither * nor other symbols, which bcftools copies as text or refuses; mutations have them.
    return sequence(random, 3, "ACGTN")


def _call(random: Random, alleles: int, haploid: bool) -> str:
    numbers = [*range(alleles + 1), 0, 0]
    first, second = random.choice(numbers), random.choice(numbers)
    if haploid:
        return str(first)
    separator = "/" if random.random() < 0.1 and first == second else "|"
    if random.random() < 0.05:
        return random.choice((".|.", "./.", f".|{second}", f"{first}|."))
    return f"{first}{separator}{second}"


def vcf(folder: Path) -> Target:
    reference = Reference(folder)

    def generate(random: Random, size: int) -> bytes:
        text = HEADER + "\n".join(make_records(reference.text, random, size)) + "\n"
        return (
            text_file(text, random, mark=False) if random.random() < 0.3 else bgzip(text.encode())
        )

    def compare(path: Path, found: dict[str, tuple[str, ...]]) -> str:
        if path.read_bytes().startswith(b"##fileformat=VCFv4.4\r"):
            return ""  # htslib reads no such line ends
        return reference.wrong(path, found)

    return Target(
        name="vcf",
        read=reference.build,
        seeds=tuple(generate(Random(seed), 4) for seed in range(5)),
        suffix=".vcf.gz",
        generate=generate,
        oracle=compare,
        mutate=(packed(mutate_bytes),),
        weight=3,
    )


def bcf(folder: Path) -> Target:
    reference = Reference(folder)

    def generate(random: Random, size: int) -> bytes:
        text = folder / "made.vcf"
        text.write_text(HEADER + "\n".join(make_records(reference.text, random, size)) + "\n")
        kind = random.choice(("-Ob", "-Ou"))
        made = folder / "made.bcf"
        pysam.bcftools.view(kind, "-o", str(made), "--no-version", str(text), catch_stdout=False)
        return made.read_bytes()

    return Target(
        name="bcf",
        read=reference.build,
        seeds=tuple(generate(Random(seed), 4) for seed in range(4)),
        suffix=".bcf",
        generate=generate,
        oracle=reference.wrong,
        mutate=(packed(mutate_bytes),),
        weight=2,
    )


def vcf_index(folder: Path) -> Target:
    """The bytes are those of an index; or, behind a first X, of a file to make an index of."""
    reference = Reference(folder)
    variants = folder / "whole.vcf.gz"
    variants.write_bytes(
        bgzip((HEADER + "\n".join(make_records(reference.text, Random(5), 9)) + "\n").encode())
    )
    index = folder / "whole.csi"
    index_variants(variants, index)
    wanted = reference.build(variants, folder)

    def read(path: Path, out: Path) -> Any:
        data = path.read_bytes()
        if data.startswith(b"X"):
            path.write_bytes(data[1:])
            index_variants(path, out / "made.csi")
            return wanted
        return reference.build(variants, out, path)

    return Target(
        name="vcf_index",
        read=read,
        seeds=(index.read_bytes(), b"X" + variants.read_bytes()),
        suffix=".csi",
        oracle=lambda _, found: "" if found == wanted else f"{found!r:.300} is {wanted!r:.300}",
        mutate=(packed(mutate_bytes),),
        spliced=False,
    )


def populations(_: Path) -> Target:
    def generate(random: Random, size: int) -> bytes:
        names = [*SAMPLES, *(f"x{name}" for name in words(random, size))]
        random.shuffle(names)
        header = ["sample", "pop", "super_pop", word(random) + "_other"]
        rows = [[name, word(random), random.choice(("AFR", "EUR", "")), "a"] for name in names]
        return text_file(table(header, rows, random.choice("\t,"), random).replace('"', ""), random)

    def compare(path: Path, found: pd.DataFrame) -> str:
        import gzip

        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        text = data.decode("utf-8-sig")
        separator = "\t" if "\t" in text.split("\n")[0] else ","
        truth = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, na_filter=False, quoting=csv.QUOTE_NONE
        )
        wanted = truth[["sample", "pop", "super_pop"]].to_numpy().tolist()
        return "" if found.to_numpy().tolist() == wanted else f"{found} is {wanted}"

    seeds = (
        b"sample\tpop\tsuper_pop\tgender\ns0\tGBR\tEUR\tmale\ns1\tYRI\tAFR\tfemale\n",
        b'Sample name,Population code,Superpopulation code\ns0,"GBR, x",EUR\n',
        b"#IID SEX Population\ns0 1 GBR\ns2 2 YRI\n",
    )
    read: Callable[[Path, Path], Any] = lambda path, _: read_populations(path, list(SAMPLES))  # noqa: E731
    return Target(
        name="populations",
        read=read,
        seeds=seeds,
        suffix=".panel",
        generate=generate,
        oracle=compare,
        mutate=(packed(mutate_bytes),),
        weight=1.5,
    )
