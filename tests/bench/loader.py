"""Shuffled training batches beside a loader as people write it today, and the start of a large one.

    python tests/bench/loader.py --output results/bench/loader.json

Tokens per second of processor time, `<cls>` counted. Ours is what the trainer calls for each step,
`Batches.make`: windows and starts drawn, read, tokenised and masked. The first peer draws windows
at random, fetches their letters with pysam, tokenises them with `transformers.EsmTokenizer` and
masks them with `DataCollatorForLanguageModeling`. The second, of corpora without N, is what those
write who know numpy, numba and torch: all letters in memory, a compiled tokeniser and the
collator's own masking of a whole tensor. A third row holds ours against what an H200 eats of the
500M model.

What is compared is every token of several batches: at the places that `TrainingWindows.locate`
names, letters are read with pyfaidx and tokenised by `EsmTokenizer`; those of phased genomes are
slices of what `bcftools consensus` makes of the whole contig. There the peer's letters are, as the
authors advise, what `bcftools consensus` makes of the window's region and individual.

The last rows are the start on 29 million windows, see startup.py.
"""

import logging
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyfaidx
import pysam.bcftools
import torch
from comparison import Comparison, read_arguments, report, time_in_turns
from startup import measure_start
from tokens import make_esm, make_numba, make_tokenizer
from transformers import DataCollatorForLanguageModeling

from dnalm.corpus.build import CorpusConfig, describe_corpus
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.haplotypes.build import build_haplotypes
from dnalm.genome.haplotypes.placing import PanelConfig
from dnalm.genome.kmers import Vocabulary
from dnalm.training.batches import Batches
from dnalm.training.masking import MaskingConfig
from dnalm.training.schedule import ScheduleConfig
from dnalm.training.settings import OptimizerConfig, PretrainConfig

VOCABULARY = Vocabulary(6, "v1")
WINDOWS = {"length": 6100, "stride": 6050, "start_max": 100}
TOKENS, BASES = 1000, 5994
SEED = 7
ROUNDS = 5
STEPS = 20  # of ours in each round, which alone are too short for the clock
CHECKED_STEPS = 3
BATCHES = (16, 64)
SAMPLES = 200  # with phased genomes
UNIT = "tokens per CPU second"
H200 = 148_000.0  # tokens of the 500M model per second of one GPU
H200_LIMIT = 20.0
PLAIN_LIMIT, ARRAY_LIMIT = 20.0, 1.0
HUMAN_CONTIG, SMALL_GENOMES, PHASED_CONTIG = 40_000_000, 300, 2_000_000
TINY_SIZES = {"HUMAN_CONTIG": 300_000, "SMALL_GENOMES": 4, "PHASED_CONTIG": 200_000, "SAMPLES": 5}
TINY = {"ROUNDS": 1, "STEPS": 1, "CHECKED_STEPS": 1, "BATCHES": (4,), **TINY_SIZES}


@dataclass(frozen=True, kw_only=True)
class Phased:
    """Phased genotypes on the first contig: their file, our stores, and who carries what."""

    variants: Path
    panel: Path
    positions: np.ndarray  # int64[V], 0-based, of records that do not touch each other
    lengths: np.ndarray  # int64[V, 2] of REF and ALT
    carried: np.ndarray  # bool[V, 2 * samples]

    def whole(self, fasta: Path, sample: str, haplotype: int) -> str:
        """Return a haplotype of the first contig by `bcftools consensus`."""
        return ask_bcftools(self.variants, sample, haplotype, fasta.with_suffix(".c0.fa"))

    def find(self, sample: str, haplotype: int, start: int) -> int:
        """Return where a reference position is in a haplotype."""
        column = 2 * int(sample[1:]) + haplotype - 1
        chosen = self.carried[:, column] & (self.positions < start)
        first, (reference, alternative) = self.positions[chosen], self.lengths[chosen].T
        passed = first + reference <= start
        shift = int((alternative - reference)[passed].sum())
        if not passed.all():  # inside of the last one
            return int(first[-1]) + shift + min(start - int(first[-1]), int(alternative[-1]))
        return start + shift


def ask_bcftools(variants: Path, sample: str, haplotype: int, fasta: Path) -> str:
    """Return the one record of a FASTA file with a haplotype's variants put in."""
    text = pysam.bcftools.consensus(
        "-f", str(fasta), "-s", sample, "-H", f"{haplotype}pIu", str(variants)
    )
    return text.split("\n", 1)[1].replace("\n", "")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus with the FASTA files it was made of; keys are genome names."""

    name: str
    fasta: Mapping[str, Path]
    stores: Mapping[str, Path]
    split: Mapping[str, object]
    n_runs: bool
    phased: Phased | None = None

    def open(self) -> TrainingWindows:
        panel = self.phased and self.phased.panel
        return TrainingWindows(self.describe(), self.stores, SEED, panel=panel)

    def read(self, files: Mapping[str, pyfaidx.Fasta], place: Mapping[str, object]) -> str:
        """Return the letters at a place that `TrainingWindows.locate` names."""
        start = place["start"]
        if "sample" in place:
            text = self.phased.whole(
                self.fasta[place["genome"]], place["sample"], place["haplotype"]
            )
            start = self.phased.find(place["sample"], place["haplotype"], start)
        else:
            text = files[place["genome"]][place["contig"]]
        return str(text[start : start + BASES])

    def describe(self) -> dict:
        config = CorpusConfig(
            genomes=list(self.stores),
            windows=WINDOWS,
            split=self.split,
            k=VOCABULARY.k,
            vocabulary=VOCABULARY.version,
            max_tokens=TOKENS,
            min_kmers=100,
            evaluation_windows=1,
            haplotypes=self.phased
            and {"panel": "p", "genome": "one", "draw": "random", "contigs": ["c0"]},
        )
        panel = self.phased and self.phased.panel
        return describe_corpus(config, self.stores, name=self.name, panel=panel)


class PlainLoader:
    """Windows of FASTA files as masked batches, as people write it today."""

    def __init__(self, corpus: Corpus, batch: int) -> None:
        self._random = np.random.default_rng(SEED)
        self._batch, self._phased = batch, corpus.phased
        self._files = {name: pysam.FastaFile(str(path)) for name, path in corpus.fasta.items()}
        self._windows = [
            (genome["name"], contig["contig"], number * WINDOWS["stride"])
            for genome in corpus.describe()["genomes"]
            for contig in genome["contigs"]
            if contig["split"] == "train"
            for number in range(contig["windows"])
        ]
        self._tokenizer = make_tokenizer(VOCABULARY)
        self._collator = DataCollatorForLanguageModeling(self._tokenizer, mlm_probability=0.15)

    def make(self) -> dict[str, torch.Tensor]:
        texts = []
        for number in self._random.integers(0, len(self._windows), self._batch):
            genome, contig, start = self._windows[number]
            start += self._random.integers(0, WINDOWS["start_max"] + 1)
            text = self._files[genome].fetch(contig, start, start + BASES).upper()
            texts.append(self._personalise(text, contig, start) if self._phased else text)
        encoded = self._tokenizer(texts, truncation=True, max_length=TOKENS)["input_ids"]
        return self._collator([{"input_ids": ids} for ids in encoded])

    def _personalise(self, text: str, contig: str, start: int) -> str:
        region = self._phased.panel / "region.fa"
        region.write_text(f">{contig}:{start + 1}-{start + len(text)}\n{text}\n")
        region.with_name("region.fa.fai").unlink(missing_ok=True)
        sample, haplotype = self._random.integers(0, SAMPLES), self._random.integers(1, 3)
        return ask_bcftools(self._phased.variants, f"s{sample}", int(haplotype), region)


class ArrayLoader(PlainLoader):
    """The same from letters in memory, for windows without N."""

    def __init__(self, corpus: Corpus, batch: int) -> None:
        super().__init__(corpus, batch)
        self._letters = {
            (name, contig): np.frombuffer(file.fetch(contig).encode(), dtype=np.uint8)
            for name, file in self._files.items()
            for contig in file.references
        }
        self._tokenize = make_numba(VOCABULARY)

    def draw(self) -> np.ndarray:
        """Return the letters of random windows, uint8[B, BASES]."""
        letters = np.empty((self._batch, BASES), dtype=np.uint8)
        chosen = self._random.integers(0, len(self._windows), self._batch)
        moved = self._random.integers(0, WINDOWS["start_max"] + 1, self._batch)
        for row, (number, more) in enumerate(zip(chosen, moved, strict=True)):
            *place, start = self._windows[number]
            letters[row] = self._letters[tuple(place)][start + more : start + more + BASES]
        return letters

    def make(self) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.from_numpy(self._tokenize(self.draw()).astype(np.int64))
        special = inputs == VOCABULARY.cls
        return self._collator.torch_mask_tokens(inputs, special_tokens_mask=special)

    def check(self) -> bool:
        """Return whether its tokens are those of `EsmTokenizer`."""
        letters = self.draw()
        expected = make_esm(VOCABULARY)([row.tobytes().decode() for row in letters])
        return self._tokenize(letters).tolist() == [ids[:TOKENS] for ids in expected]


def make_human_like(folder: Path) -> Corpus:
    """One genome of long contigs without N."""
    return store_genomes(
        folder,
        "human-like, no N",
        {"one": [HUMAN_CONTIG, HUMAN_CONTIG, 100_000, 100_000]},
        {"by": "contig", "validation": ["c2"], "test": ["c3"]},
        n_runs=0,
    )


def make_many_small(folder: Path) -> Corpus:
    """Many genomes, more than are held open at once, with N in every tenth window."""
    genomes = {f"g{number}": [20_000, 60_000, 170_000] for number in range(SMALL_GENOMES)}
    split, name = {"by": "genome", "validation": 1, "test": 1}, f"{SMALL_GENOMES} small genomes"
    return store_genomes(folder, f"{name}, some N", genomes, split, n_runs=1 / 60_000)


def make_phased(folder: Path) -> Corpus:
    """Phased genomes of some samples, each haplotype with about 700 variants per megabase."""
    lengths = [PHASED_CONTIG, 100_000, 100_000]
    split = {"by": "contig", "validation": ["c1"], "test": ["c2"]}
    plain = store_genomes(folder, "", {"one": lengths}, split, n_runs=0)
    fasta = plain.fasta["one"]
    text = pyfaidx.Fasta(str(fasta), as_raw=True)["c0"][:]
    fasta.with_suffix(".c0.fa").write_text(f">c0\n{text}\n")
    random = np.random.default_rng(SEED)
    positions = np.arange(100, lengths[0] - 100, 80, dtype=np.int64)
    positions += random.integers(0, 40, len(positions))
    sizes = np.where(random.random((len(positions), 2)) < 0.1, random.integers(2, 9), 1)
    # Few are common: a haplotype carries one in eighteen.
    carried = (
        random.random((len(positions), 2 * SAMPLES))
        < random.beta(0.1, 1.7, len(positions))[:, None]
    )
    variants = folder / "panel.vcf"
    with open(variants, "w") as file:
        names = "\t".join(f"s{number}" for number in range(SAMPLES))
        file.write("##fileformat=VCFv4.2\n##contig=<ID=c0>\n")
        file.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        file.write(f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n")
        for position, (old, new), row in zip(positions, sizes, carried.astype(int), strict=True):
            reference = text[position : position + old]
            others = random.choice(list("ACGT".replace(reference[0], "")), new)
            genotypes = "\t".join(f"{a}|{b}" for a, b in row.reshape(-1, 2))
            fields = (position + 1, reference, "".join(others), genotypes)
            file.write("c0\t{}\t.\t{}\t{}\t.\t.\t.\tGT\t{}\n".format(*fields))
    pysam.tabix_index(str(variants), preset="vcf", force=True)
    variants = variants.with_name("panel.vcf.gz")
    panel = folder / "haplotypes"
    panel.mkdir()
    build_haplotypes(
        PanelConfig(
            samples=None,
            unphased="refuse",
            symbolic_deletions="reference",
            largest_mismatch=0.0,
        ),
        variants=variants,
        index=None,
        genome=GenomeBases.of(plain.stores["one"]),
        contig="c0",
        folder=panel / "c0",
    )
    phased = Phased(
        variants=variants, panel=panel, positions=positions, lengths=sizes, carried=carried
    )
    return replace(plain, name=f"phased genomes of {SAMPLES}", phased=phased)


def store_genomes(
    folder: Path,
    name: str,
    genomes: Mapping[str, list[int]],
    split: Mapping[str, object],
    n_runs: float,
) -> Corpus:
    """Write random genomes (name: contig lengths) with `n_runs` runs of N per base."""
    random = np.random.default_rng(SEED)
    folder.mkdir()
    fasta, stores = {}, {}
    for genome, lengths in genomes.items():
        fasta[genome], stores[genome] = folder / f"{genome}.fa", folder / genome
        with open(fasta[genome], "wb") as file:
            for number, length in enumerate(lengths):
                letters = random.choice(np.frombuffer(b"ACGT", np.uint8), length)
                for start in random.integers(0, length, round(n_runs * length)):
                    letters[start : start + random.integers(1, 1000)] = ord("N")
                file.write(b">c%d\n" % number + letters.tobytes() + b"\n")
        write_bases(
            fasta[genome],
            name=genome,
            config={},
            bases=stores[genome] / "bases.npy",
            contigs=stores[genome] / "contigs.tsv",
            manifest=stores[genome] / "manifest.json",
        )
    return Corpus(name=name, fasta=fasta, stores=stores, split=split, n_runs=n_runs > 0)


def make_batches(windows: TrainingWindows, batch: int) -> Batches:
    config = PretrainConfig(
        masking=MaskingConfig(selected=0.15, masked=0.8, random=0.1),
        batch_sequences=batch,
        tokens=10**9,
        steps=None,
        optimizer=OptimizerConfig(beta1=0.9, beta2=0.98, eps=1e-8, weight_decay=0.0),
        schedule=ScheduleConfig(initial=1e-4, peak=1e-3, warmup_steps=10, decay="constant"),
        gradient_clip=1.0,
        precision="bf16",
        residual="float32",
        seed=SEED,
        min_kmers=100,
        max_n_share=None,
    )
    return Batches(windows, config, VOCABULARY, micro_batch=batch, rank=0, size=1)


def compare(corpus: Corpus) -> list[Comparison]:
    windows, rows = corpus.open(), []
    for batch in BATCHES:
        batches, peer = make_batches(windows, batch), PlainLoader(corpus, batch)
        steps = iter(range(10**9))

        def run_ours(batches: Batches = batches, steps=steps) -> None:
            for _ in range(STEPS):
                batches.make(next(steps))

        ours, theirs = time_in_turns(run_ours, peer.make, ROUNDS)
        case = f"{corpus.name}, {batch} x {TOKENS:,}"
        speed, correct = STEPS * batch * TOKENS / ours, check(corpus, windows, batches)
        rivals = {
            f"pysam {'and bcftools ' * bool(corpus.phased)}+ EsmTokenizer + collator": (
                batch * TOKENS / theirs,
                PLAIN_LIMIT,
            ),
            "an H200 on the 500M model": (H200, H200_LIMIT),
        }
        if not (corpus.phased or corpus.n_runs):
            array = ArrayLoader(corpus, batch)
            correct &= array.check()

            def run_array(array: ArrayLoader = array) -> None:
                for _ in range(STEPS):
                    array.make()

            again, theirs = time_in_turns(run_ours, run_array, ROUNDS)
            speed = min(speed, STEPS * batch * TOKENS / again)
            rivals["letters in memory + numba + collator"] = (
                STEPS * batch * TOKENS / theirs,
                ARRAY_LIMIT,
            )
        for rival, (other, limit) in rivals.items():
            rows.append(
                Comparison(
                    case=f"{case}; {rival}",
                    ours=speed,
                    peer=other,
                    unit=UNIT,
                    correct=correct,
                    limit=limit,
                )
            )
    windows.close()
    return rows


def check(corpus: Corpus, windows: TrainingWindows, batches: Batches) -> bool:
    """Return whether batches hold the tokens that others make at the places they name."""
    files = {name: pyfaidx.Fasta(str(path)) for name, path in corpus.fasta.items()}
    tokenize, same = make_esm(VOCABULARY), True
    for step in range(CHECKED_STEPS):
        (part,) = batches.make(step).parts
        samples = [batches.sample(step, 0, row) for row in range(len(part.inputs))]
        texts = []
        for sample in samples:
            place = windows.locate(sample)
            texts.append(corpus.read(files, place))
        expected = np.array([ids[:TOKENS] for ids in tokenize(texts)])
        # The selected tokens are put back where they were.
        weighed = part.weights.numpy() > 0
        found, places = part.inputs.numpy().copy(), part.positions.numpy()
        rows, slots = np.nonzero(weighed)
        found[rows, places[rows, slots]] = part.targets.numpy()[rows, slots]
        same &= np.array_equal(found, expected)
        same &= np.array_equal(windows.draw(samples), expected)
    return bool(same)


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *compare(make_human_like(folder / "human")),
            *compare(make_many_small(folder / "many")),
            *compare(make_phased(folder / "phased")),
            *measure_start(folder / "start", tiny=arguments.tiny),
        ]
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
