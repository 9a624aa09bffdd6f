"""Small genomes, panels of haplotypes with what bcftools makes of them, and small models."""

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pysam.bcftools
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.haplotypes.build import build_haplotypes
from dnalm.genome.haplotypes.placing import PanelConfig
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.kmers import Vocabulary, to_sequence
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights


def random_sequence(seed: int, length: int, n_share: float = 0.0) -> str:
    """Return A, C, G, T and, in runs, N."""
    random = np.random.default_rng(seed)
    letters = random.choice(list("ACGT"), length)
    while n_share and np.mean(letters == "N") < n_share:
        start = random.integers(0, length)
        letters[start : start + random.integers(1, 1 + max(1, length // 20))] = "N"
    return "".join(letters)


@pytest.fixture(scope="session")
def sequence():
    return random_sequence


@pytest.fixture
def store(tmp_path):
    """Return a function that stores a genome and returns its folder.

    The genome is {record: sequence}, or the path of a FASTA file.
    """

    def make(name: str, records: dict[str, str] | Path, **config) -> Path:
        source, folder = tmp_path / f"{name}.fa", tmp_path / "genomes" / name
        if isinstance(records, dict):
            source.write_text("".join(f">{record}\n{text}\n" for record, text in records.items()))
        else:
            source = records
        write_bases(
            source,
            name=name,
            config=config,
            bases=folder / "bases.npy",
            contigs=folder / "contigs.tsv",
            manifest=folder / "manifest.json",
        )
        return folder

    return make


HEADER = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
DEFAULTS = {
    "samples": None,
    "unphased": "resolve",
    "symbolic_deletions": "reference",
    "largest_mismatch": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A genome with one contig, variants on it, and the haplotypes that we make of them."""

    folder: Path
    variants: Path
    genome: GenomeBases
    contig: str
    haplotypes: HaplotypeStore

    @property
    def reference(self) -> tuple[np.ndarray, int]:
        """Return the codes of the first stored piece of the contig and where it begins."""
        row = self.genome.contigs[self.genome.contigs["contig"] == self.contig].iloc[0]
        return self.genome.read_at(int(row.offset), int(row.length)), int(row.start)

    def sequence(self, sample: int, haplotype: int, start: int | None = None) -> str:
        """Return haplotype 1 or 2 of a sample, from a reference position on."""
        codes, first = self.reference
        made, lengths = self.haplotypes.read(
            codes,
            first,
            np.array([2 * sample + haplotype - 1]),
            np.array([first if start is None else start]),
            4 * len(codes) + 1000,
        )
        return to_sequence(made[0, : lengths[0]])


def ask_bcftools(fasta: Path, variants: Path, sample: str, haplotype: int) -> str:
    """Return the haplotype of the first record as `bcftools consensus` makes it, IUPAC as N."""
    text = pysam.bcftools.consensus(
        "-f", str(fasta), "-s", sample, "-H", f"{haplotype}pIu", str(variants)
    )
    (record,) = text.split(">")[1:]
    letters = "".join(record.split("\n")[1:]).upper()
    return "".join(letter if letter in "ACGT" else "N" for letter in letters)


def write_variants(path: Path, records: list[tuple], samples: int, contig: str = "c") -> Path:
    """Write (POS, REF, ALT, INFO, genotype of each sample) as VCF, bgzipped and indexed."""
    names = [f"s{number}" for number in range(samples)]
    lines = [
        "##fileformat=VCFv4.4",
        f"##contig=<ID={contig}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
        '##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Type">',
        '##ALT=<ID=DEL,Description="Deletion">',
        "\t".join([*HEADER, *names]),
    ]
    for position, reference, alternative, info, *genotypes in records:
        fixed = (contig, str(position), ".", reference, alternative, ".", ".", info, "GT")
        lines.append("\t".join((*fixed, *genotypes)))
    path.write_text("\n".join(lines) + "\n")
    pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True)
    return path.with_name(path.name + ".gz")


@pytest.fixture
def make_panel(tmp_path, store):
    """Return a function that stores one contig and builds the haplotypes of records on it.

    The contig is `c` with a sequence, or the first record of a FASTA file.
    """

    def make(
        sequence: str | Path, variants: Path | list[tuple], record: str = "c", **options
    ) -> Panel:
        folder = tmp_path / f"panel-{len(list(tmp_path.glob('panel-*')))}"
        folder.mkdir()
        if isinstance(variants, list):
            samples = len(variants[0]) - 4 if variants else 1
            variants = write_variants(folder / "variants.vcf", variants, samples)
        records = sequence if isinstance(sequence, Path) else {record: sequence}
        genome = GenomeBases.of(store(folder.name, records))
        contig = genome.contigs["contig"].iloc[0]
        build_haplotypes(
            PanelConfig(**(DEFAULTS | options)),
            variants=variants,
            index=None,
            genome=genome,
            contig=contig,
            folder=folder / "store",
        )
        return Panel(
            folder=folder,
            variants=variants,
            genome=genome,
            contig=contig,
            haplotypes=HaplotypeStore(folder / "store"),
        )

    return make


@pytest.fixture
def bcftools(tmp_path):
    """Return a function that gives what `bcftools consensus` makes of a sequence and records."""

    def ask(
        sequence: str | Path, variants: Path | list[tuple], sample: int | str, haplotype: int
    ) -> str:
        fasta = sequence
        if isinstance(sequence, str):
            fasta = tmp_path / "truth.fa"
            fasta.write_text(f">c\n{sequence}\n")
            Path(f"{fasta}.fai").unlink(missing_ok=True)
        if isinstance(variants, list):
            samples = len(variants[0]) - 4
            variants = write_variants(tmp_path / "truth.vcf", variants, samples)
        name = sample if isinstance(sample, str) else f"s{sample}"
        return ask_bcftools(fasta, variants, name, haplotype)

    return ask


@pytest.fixture(scope="session")
def make_model() -> Callable[..., dict[str, str]]:
    """Return a function that makes a model of 64 tokens, and returns the paths `run`, `weights`."""

    def draw(folder: Path, *, k: int, layers: int, seed: int) -> dict[str, str]:
        vocabulary = Vocabulary(k, "v2")
        config = EncoderConfig(
            layers=layers,
            heads=2,
            width=16,
            ffn_width=24,
            positions="rotary",
            feed_forward="swiglu",
            ffn_bias=False,
            max_tokens=64,
            vocabulary_size=vocabulary.size,
            pad_id=vocabulary.pad,
            mask_id=vocabulary.mask,
            token_dropout=None,
            dropout=0.0,
            layer_norm_eps=1e-5,
            initialisation="haiku",
        )
        encoder = Encoder(config)
        initialise(encoder, seed)
        run, weights = str(folder / "run.json"), str(folder / "weights.safetensors")
        save_weights(encoder, weights, {})
        facts = {"model": "small", "encoder": vars(config), "k": k, "vocabulary": "v2"}
        Path(run).write_text(json.dumps(facts))
        return {"run": run, "weights": weights}

    return draw


@pytest.fixture
def draw_model(make_model, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return `make_model` for the test's own folder."""
    return partial(make_model, tmp_path)


@pytest.fixture
def small_model(draw_model) -> dict[str, str]:
    """Return the paths of a model's `run` and `weights`: k = 2, two layers, 64 tokens."""
    return draw_model(k=2, layers=2, seed=3)


class HostReads(TorchDispatchMode):
    """Notes who asks for the value of a tensor, for which a host waits where it lies on a GPU."""

    READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)

    def __init__(self) -> None:
        super().__init__()
        self.stacks: list[list[str]] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function in self.READS:
            self.stacks.append([frame.name for frame in traceback.extract_stack()])
        return function(*arguments, **(options or {}))


@pytest.fixture
def host_reads():
    """Return a context that gives the calls, as lists of functions, that read a tensor's value."""

    @contextmanager
    def watch() -> Iterator[list[list[str]]]:
        with HostReads() as mode:
            yield mode.stacks

    return watch
