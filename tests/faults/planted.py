"""The files of a run in which every rule has a job: DNA, genotypes, weights, labels, assemblies."""

import gzip
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import loopback_hub
import pandas as pd
import pysam
import torch
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.genome.kmers import Vocabulary

CONTIG_BASES = 40_000
SAMPLES = 6
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
SUMMARY = (
    *("assembly_accession", "bioproject", "refseq_category", "taxid", "species_taxid"),
    *("organism_name", "version_status", "assembly_level", "ftp_path", "group"),
)


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Yield the address of a server of a folder on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def plant(folder: Path) -> None:
    """Write all that tests/faults/every_rule.yaml looks for into a new folder."""
    folder.mkdir()
    draw = random.Random(7)
    names = ("one", "two", "three", "four")
    contigs = {name: "".join(draw.choices("ACGT", k=CONTIG_BASES)) for name in names}
    write_fasta(folder / "fetched.fa.gz", contigs)
    write_variants(folder / "variants.vcf", contigs, draw)
    write_weights(folder / "weights")
    write_labels(folder, draw)
    write_labelled_variants(folder, contigs, draw)
    write_assay(folder / "assay.tsv", contigs["three"], draw)
    write_assemblies(folder / "fungi.txt")
    places = "".join(f"three\t{start}\t{start + 60}\tp\t0\t+\n" for start in range(100, 3000, 100))
    (folder / "places.bed").write_text(places)


def plant_repository(planted: Path, hub: loopback_hub.Hub) -> None:
    """Put the planted weights into the repository tiny/weights of a hub."""
    shutil.copytree(planted / "weights", hub.folder("tiny/weights"), dirs_exist_ok=True)


def write_fasta(path: Path, contigs: dict[str, str]) -> None:
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items())
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def write_variants(path: Path, contigs: dict[str, str], draw: random.Random) -> None:
    """Write phased genotypes of two contigs in one file, which therefore needs an index."""
    samples = [f"s{number}" for number in range(SAMPLES)]
    lines = ["##fileformat=VCFv4.4"]
    lines += [f"##contig=<ID={name},length={CONTIG_BASES}>" for name in contigs]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += ["\t".join((*COLUMNS, *samples))]
    for name in ("one", "two"):
        for position in range(100, CONTIG_BASES - 100, 50):
            reference = contigs[name][position]
            other = draw.choice([letter for letter in "ACGT" if letter != reference])
            genotypes = [f"{draw.randrange(2)}|{draw.randrange(2)}" for _ in samples]
            row = (name, str(position + 1), ".", reference, other, ".", ".", ".", "GT", *genotypes)
            lines.append("\t".join(row))
    path.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)


def write_weights(folder: Path) -> None:
    """Save a model of random weights as `transformers` does, with the tokens of 4-mers."""
    vocabulary = Vocabulary(4, "v1")
    torch.manual_seed(5)
    settings = EsmConfig(
        vocab_size=vocabulary.size,
        mask_token_id=vocabulary.mask,
        pad_token_id=vocabulary.pad,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64 + 2,
        position_embedding_type="absolute",
        token_dropout=True,
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
        layer_norm_eps=1e-5,
    )
    EsmForMaskedLM(settings).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary.tokens()) + "\n")


def write_labels(folder: Path, draw: random.Random) -> None:
    """Write rows of which each base is labelled, G by 1."""
    for split, rows in (("train", 200), ("test", 60)):
        sequences = ["".join(draw.choices("ACGT", k=60)) for _ in range(rows)]
        labels = [[int(base == "G") for base in sequence] for sequence in sequences]
        table = pd.DataFrame({"sequence": sequences, "label": labels})
        table.to_parquet(folder / f"sites.{split}.parquet")


def write_labelled_variants(folder: Path, contigs: dict[str, str], draw: random.Random) -> None:
    """Write variants of all contigs with labels, as a VCF file and as a table."""
    rows = []
    for place, (name, sequence) in enumerate(contigs.items()):
        for number, position in enumerate(range(500, 4_500, 400)):
            alt = draw.choice([letter for letter in "ACGT" if letter != sequence[position]])
            # The last one of a contig chooses the step of fine-tuning: both labels are among these.
            positive = (number + place) % 3 == 0
            rows.append((name, position + 1, sequence[position], alt, positive))
    lines = ["##fileformat=VCFv4.4", "\t".join(COLUMNS[:8])]
    lines += [f"{c}\t{p}\t.\t{ref}\t{alt}\t.\t.\tLABEL={int(y)}" for c, p, ref, alt, y in rows]
    (folder / "labelled.vcf").write_text("\n".join(lines) + "\n")
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt", "label"])
    table.to_parquet(folder / "labels.parquet")


def write_assay(path: Path, sequence: str, draw: random.Random) -> None:
    """Write every change of ten bases of the contig `three`, with an effect of each."""
    rows = [
        ("three", position + 1, sequence[position], alt, round(draw.random(), 3))
        for position in range(3_000, 3_010)
        for alt in "ACGT"
        if alt != sequence[position]
    ]
    lines = ["contig\tposition\tref\talt\teffect", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def write_assemblies(path: Path) -> None:
    """Write a list of assemblies as NCBI does, of five genera."""
    lines = ["##  a list of assemblies", "#" + "\t".join(SUMMARY)]
    for number, genus in enumerate(("Aa", "Bb", "Cc", "Dd", "Ee"), start=1):
        accession = f"GCF_{number:09}.1"
        address = f"https://h.org/{accession}_ASM{number}v1"
        row = (accession, "PRJNA1", "na", str(number), str(number), f"{genus} alba", "latest")
        lines.append("\t".join((*row, "Contig", address, "fungi")))
    path.write_text("\n".join(lines) + "\n")
