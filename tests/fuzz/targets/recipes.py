"""Windows cut from a small genome around the elements of a file, with the settings of `build:`."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pyfaidx
import yaml

from dnalm.benchmark.tasks.recipes.windows import cut_windows
from dnalm.configuration.builds import find_build_errors, resolve_build
from dnalm.genome.bases import write_bases
from fuzz.mutations import mutate_bytes
from fuzz.target import Target
from fuzz.targets.making import sequence

SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
CONFIG = {"genomes": {"g": {}}, "build": SHIPPED["build"]}
CONTIGS = {"a": 3000, "b": 2000, "c": 40}
PLACE = re.compile(r"(.+):(\d+)-(\d+)\(([+-])\)")
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
OPTIONS: dict[str, tuple[Any, ...]] = {
    "length": (20, 60, None, 1, 4000),
    "placement": ("centre", "random", "summit"),
    "longer": ("drop", "centre"),
    "gaps": ("drop", "keep"),
    "outside": ("refuse", "drop"),
    "balance": ("equal", "found"),
    "negatives": ("contig", "split"),
    "decoys": ("genome", "none"),
    "avoid": ("elements", "windows"),
    "unlabelled": ("avoid", "ignore"),
    "labels_by_name": ({".*": 1}, {"^x": 1, "y": 2}, {"z": 1}),
    "test_contigs": (["b"], ["c"], []),
    "seed": (0, 7),
}
COMMON = {"genome": "g", "test_contigs": ["b"], "maximum": {"train": None, "test": None}}


class Genome:
    """A stored genome, and its bases by pyfaidx."""

    def __init__(self, folder: Path) -> None:
        random, source = Random(1), folder / "g.fa"
        texts = {name: sequence(random, length, "ACGT") for name, length in CONTIGS.items()}
        texts["a"] = texts["a"][:500] + "N" * 30 + texts["a"][530:]
        source.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
        files = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
        paths = {key: folder / name for key, name in files.items()}
        write_bases(source, name="g", config={}, **paths)
        self.files = {key: [str(path)] for key, path in paths.items()}
        self.bases = pyfaidx.Fasta(str(source), as_raw=True)

    def wrong(self, rows: list[Any]) -> str:
        """Return which row is not made of the bases of its place."""
        for row in rows:
            contig, start, end, strand = PLACE.fullmatch(row.provenance).groups()
            wanted = self.bases[contig][int(start) : int(end)]
            wanted = wanted.translate(COMPLEMENT)[::-1] if strand == "-" else wanted
            if row.sequence != wanted:
                return f"{row.provenance}: {row.sequence} is {wanted}"
        return ""


def _target(
    folder: Path, name: str, recipe: str, key: str, texts: list[str], weight: float
) -> Target:
    genome = Genome(folder)

    def read(path: Path, _: Path) -> list[Any]:
        head, _, text = path.read_bytes().partition(b"\n")
        try:
            own = json.loads(head)
        except ValueError:
            own = {}
        known = own.items() if isinstance(own, dict) else ()
        own = {key: value for key, value in known if value in OPTIONS.get(key, ())}
        source = path.with_name("elements.txt")
        source.write_bytes(text)
        given = {**COMMON, "recipe": recipe, "length": 20, **own, key: "elements.txt"}
        if list(find_build_errors("tasks.mine.x.build", CONFIG, given)):
            return []  # told before any job starts
        build = resolve_build(SHIPPED, given)
        rows, _ = cut_windows(build, "mine.x", {**genome.files, key: [str(source)]})
        return rows

    def change(data: bytes, random: Random) -> bytes:
        head, _, text = data.partition(b"\n")
        if random.random() < 0.6:
            names = random.sample(list(OPTIONS), random.randint(1, 4))
            head = json.dumps({name: random.choice(OPTIONS[name]) for name in names}).encode()
        return head + b"\n" + (mutate_bytes(text, random) if random.random() < 0.8 else text)

    return Target(
        name=name,
        read=read,
        seeds=tuple(f"{{}}\n{text}".encode() for text in texts),
        suffix=".build",
        oracle=lambda _, rows: genome.wrong(rows),
        always=True,
        mutate=(change,),
        one_file=False,
        spliced=False,
        weight=weight,
    )


def windows_of_intervals(folder: Path) -> Target:
    random, lines = Random(2), []
    for contig in ("a", "b"):
        for number in range(8):
            start = random.randrange(CONTIGS[contig] - 60)
            kind = random.choice("xyz")
            rest = f"{kind}{number}\t0\t{random.choice('+-.')}\t1\t1\t1\t{random.randrange(10)}"
            lines.append(f"{contig}\t{start}\t{start + random.randint(10, 40)}\t{rest}\n")
    return _target(folder, "windows_of_intervals", "peaks", "intervals", ["".join(lines)], 1.5)


def windows_of_genes(folder: Path) -> Target:
    random, lines = Random(3), []
    for contig in ("a", "b"):
        for number in range(5):
            at, strand = random.randrange(30, CONTIGS[contig] - 400), random.choice("+-")
            for _ in range(3):
                end = at + random.randint(5, 40)
                told = f'gene_id "g{number}"; transcript_id "t{contig}{number}"; '
                told += f"level {number % 3 + 1};"
                lines.append(f"{contig}\tx\texon\t{at}\t{end}\t.\t{strand}\t.\t{told}\n")
                at = end + random.randint(8, 60)
    return _target(folder, "windows_of_genes", "splice_sites", "annotation", ["".join(lines)], 1.5)
