"""Sheets of genomes and tasks, NCBI's assembly summaries, tables of published scores."""

import io
import re
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import yaml

from dnalm.configuration.task_sheet import read_task_sheet
from dnalm.genome.species.assembly_summaries import REQUIRED_COLUMNS, read_summary
from dnalm.genome.species.draw import SpeciesConfig, draw_species
from dnalm.genome.species.sheet import COLUMNS, read_sheet
from dnalm.report.tables.verdicts.published_scores import read_published, read_reconstruction
from fuzz.mutations import mutate_bytes, packed
from fuzz.target import Target
from fuzz.targets.making import table, text_file, word, words

RESOURCES = Path(__file__).parents[3] / "resources"


def _head(name: str, lines: int) -> bytes:
    text = (RESOURCES / name).read_text().splitlines(keepends=True)
    kept = [line for line in text if not line.startswith("#")]
    return "".join(kept[:lines]).encode()


def _plain(text: str, random: Random) -> bytes:
    text = text.replace("\n", "\r\n") if random.random() < 0.2 else text
    return (b"\xef\xbb\xbf" if random.random() < 0.1 else b"") + text.encode()


def make_genome_sheet(random: Random, size: int) -> bytes:
    """Return a table with some of the columns, one source in each row."""
    header = ["name", "species", "url", "path", "sha256"]
    random.shuffle(header)
    rows = []
    for number, name in enumerate(words(random, size)):
        is_url = random.random() < 0.5
        source = {"url": f"https://h.org/{name}.fa.gz"} if is_url else {"path": f"data/{name}.fa"}
        sums = random.choice(("", f"{random.randrange(16**64):064x}"))
        own = re.sub(r"\.+", ".", f"{name.rstrip('.-_')}-{number}")
        row = {"name": own, "species": "A b, c", "sha256": sums, **source}
        rows.append([row.get(column, "") for column in header])
    return _plain(table(header, rows, random.choice("\t,"), random), random)


def compare_genome_sheet(path: Path, found: dict[str, dict[str, str]]) -> str:
    """Return how pandas reads the cells otherwise."""
    truth = pd.read_csv(
        io.BytesIO(path.read_bytes()),
        sep=None,
        engine="python",
        dtype=str,
        na_filter=False,
        encoding="utf-8-sig",
    )
    rows = [{key: cell for key, cell in row.items() if cell} for row in truth.to_dict("records")]
    wanted = {row.pop("name"): row for row in rows}
    return "" if found == wanted else f"{found!r:.400} is {wanted!r:.400}"


def genome_sheet(_: Path) -> Target:
    seeds = (
        b"name\turl\tmd5\nyeast\thttps://h.org/y.fa.gz\t" + b"0" * 32 + b"\n",
        b"https://h.org/GCF_000001405.40_GRCh38_genomic.fna.gz\nftp://h.org/b.fa\n",
        b'name,species,path\na,"A, b",x.fa\n# note\nb,,y.fa\n',
        ("\t".join(COLUMNS) + "\na\tGCF_000001405.40\tA b\tg\t\tx.fa\t\t\n").encode(),
    )
    return Target(
        name="genome_sheet",
        read=lambda path, _: read_sheet(path),
        seeds=seeds,
        suffix=".tsv",
        generate=make_genome_sheet,
        oracle=compare_genome_sheet,
        weight=3,
    )


def make_task_sheet(random: Random, size: int) -> bytes:
    """Return a table of tasks, with mappings as YAML writes them."""
    header = ["task", "path", "kind", "classes", "labels", "train_rows", "source"]
    rows = []
    for name in words(random, size):
        labels = {word(random): number for number in range(random.randrange(4))}
        told = (
            yaml.safe_dump(labels, default_flow_style=True, width=10**6).strip() if labels else ""
        )
        count = random.choice(("", "17"))
        rows.append(
            [f"mine.{name}", f"{name}.csv", "binary", random.choice(("2", "")), told, count, "x y"]
        )
    text = "\n".join("\t".join(row) for row in [header, *rows]) + "\n"
    return _plain(text, random)


def compare_task_sheet(path: Path, found: dict[str, dict[str, Any]]) -> str:
    """Return how pandas and yaml read the cells otherwise."""
    truth = pd.read_csv(
        io.BytesIO(path.read_bytes()),
        sep="\t",
        dtype=str,
        na_filter=False,
        encoding="utf-8-sig",
        quoting=3,
    )
    wanted = {}
    for row in truth.to_dict("records"):
        entry = {key: row[key] for key in ("path", "kind") if row[key]}
        entry |= {"classes": int(row["classes"])} if row["classes"] else {}
        entry |= {"rows": {"train": int(row["train_rows"])}} if row["train_rows"] else {}
        entry |= {"labels": yaml.safe_load(row["labels"])} if row["labels"] else {}
        wanted[row["task"]] = entry
    return "" if found == wanted else f"{found!r:.400} is {wanted!r:.400}"


def task_sheet(_: Path) -> Target:
    seeds = (
        _head("tasks.tsv", 6),
        b"task,path,kind,classes\nmine.x,x.csv,binary,2\n",
        b"task\tpath\tlabels\tbuild\nmine.y\t{split}.csv\t{no: 0, yes: 1}\t{recipe: peaks}\n",
    )
    return Target(
        name="task_sheet",
        read=lambda path, _: read_task_sheet(path),
        seeds=seeds,
        suffix=".tsv",
        generate=make_task_sheet,
        oracle=compare_task_sheet,
        weight=2,
    )


OPTIONAL = ("taxid", "group", "asm_name")


def make_summary(random: Random, size: int) -> bytes:
    """Return an assembly summary of species that all may be drawn."""
    header = [*REQUIRED_COLUMNS, *OPTIONAL]
    lines = ["#   See ftp://ftp.ncbi.nlm.nih.gov/genomes/README_assembly_summary.txt, 2024-05-01"]
    lines.append("#" + "\t".join(header))
    for number in range(2 + size):
        accession = f"GCF_{number:09d}.1"
        genus = "Genus" + "abcdefghijklmnop"[number % 16] * (1 + number // 16)
        row = {
            "assembly_accession": accession,
            "refseq_category": random.choice(("na", "reference genome")),
            "species_taxid": str(100 + number),
            "organism_name": f"{genus} species",
            "version_status": "latest",
            "assembly_level": random.choice(("Complete Genome", "Contig")),
            "ftp_path": f"https://ftp.h.org/genomes/{accession}_a",
            "taxid": str(number),
            "group": "bacteria",
            "asm_name": word(random),
        }
        lines.append("\t".join(row[column] for column in header))
    return text_file("\n".join(lines) + "\n", random, mark=False)


def assembly_summary(_: Path) -> Target:
    def read(path: Path, _: Path) -> Any:
        summary = read_summary(path, group="bacteria", include=["GCF_000000000"])
        config = SpeciesConfig(
            seed=1, counts={"bacteria": 1}, summaries={"bacteria": path.name}, include=[]
        )
        draw_species(config, {"bacteria": path})
        return summary

    def compare(path: Path, found: Any) -> str:
        truth = pd.read_csv(
            path, sep="\t", dtype=str, na_filter=False, skiprows=1, quoting=3, compression="infer"
        )
        wanted = dict(zip(truth["species_taxid"], truth["organism_name"], strict=True))
        read = {taxid: one.organism for taxid, one in found.species.items()}
        return "" if read == wanted else f"{read!r:.400} is {wanted!r:.400}"

    def generate(random: Random, size: int) -> bytes:
        data = make_summary(random, size)
        return data if not data.startswith(b"\x1f\x8b") else make_summary(Random(size), size)

    return Target(
        name="assembly_summary",
        read=read,
        seeds=tuple(make_summary(Random(seed), 3) for seed in range(4)),
        suffix=".txt",
        generate=generate,
        oracle=lambda path, found: (
            "" if path.read_bytes().startswith(b"\x1f") else compare(path, found)
        ),
        mutate=(packed(mutate_bytes),),
        weight=1.5,
    )


def published_scores(_: Path) -> Target:
    def read(path: Path, _: Path) -> Any:
        return len(read_published(path)), read_reconstruction(path)

    seed = _head("published_scores.tsv", 8)
    rows = (RESOURCES / "published_scores.tsv").read_text().splitlines()
    more = [line for line in rows if "reconstruction" in line or "2 SD" in line][:3]
    seed += "".join(f"{line}\n" for line in more).encode()
    return Target(name="published_scores", read=read, seeds=(seed,), suffix=".tsv")
