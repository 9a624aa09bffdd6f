"""Shuffled training batches beside a loader as people write it today, and the start of a large one.

    python tests/bench/loader.py --output results/bench/loader.json

Tokens per second of processor time, `<cls>` counted. Ours is what the trainer calls for each step,
`Batches.make`: windows and starts drawn, read, tokenised and masked. The peer draws windows at
random, fetches their letters with pysam, tokenises them with `transformers.EsmTokenizer` and masks
them with `DataCollatorForLanguageModeling`. A second row per corpus holds ours against what an H200
eats of the 500M model.

What is compared is every token of several batches: at the places that `TrainingWindows.locate`
names, letters are read with pyfaidx and tokenised by `EsmTokenizer`.

The last rows are the start on 29 million windows, see startup.py.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyfaidx
import pysam
import torch
from comparison import Comparison, report, time_in_turns
from startup import measure_start
from tokens import make_esm, make_tokenizer
from transformers import DataCollatorForLanguageModeling

from dnalm.genome.bases import write_bases
from dnalm.genome.corpus import CorpusConfig, describe_corpus
from dnalm.genome.kmers import Vocabulary
from dnalm.genome.samples import TrainingWindows
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
UNIT = "tokens per CPU second"
H200 = 148_000.0  # tokens of the 500M model per second of one GPU
H200_LIMIT = 20.0
PLAIN_LIMIT = 20.0


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus with the FASTA files it was made of; keys are genome names."""

    name: str
    fasta: Mapping[str, Path]
    stores: Mapping[str, Path]
    split: Mapping[str, object]

    def open(self) -> TrainingWindows:
        return TrainingWindows(self.describe(), self.stores, SEED)

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
            haplotypes=None,
        )
        return describe_corpus(config, self.stores, name=self.name)


class PlainLoader:
    """Windows of FASTA files as masked batches, as people write it today."""

    def __init__(self, corpus: Corpus, batch: int) -> None:
        self._random = np.random.default_rng(SEED)
        self._batch = batch
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
            texts.append(self._files[genome].fetch(contig, start, start + BASES).upper())
        encoded = self._tokenizer(texts, truncation=True, max_length=TOKENS)["input_ids"]
        return self._collator([{"input_ids": ids} for ids in encoded])


def make_human_like(folder: Path) -> Corpus:
    """One genome of long contigs without N."""
    return store_genomes(
        folder,
        "human-like, no N",
        {"one": [40_000_000, 40_000_000, 100_000, 100_000]},
        {"by": "contig", "validation": ["c2"], "test": ["c3"]},
        n_runs=0,
    )


def make_many_small(folder: Path) -> Corpus:
    """Three hundred genomes, more than are held open at once, with N in every tenth window."""
    genomes = {f"g{number}": [20_000, 60_000, 170_000] for number in range(300)}
    split = {"by": "genome", "validation": 1, "test": 1}
    return store_genomes(folder, "300 small genomes, some N", genomes, split, n_runs=1 / 60_000)


# The haplotype corpus goes here: a function like these two, its panel in `open`, a line in `main`.


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
    return Corpus(name=name, fasta=fasta, stores=stores, split=split)


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
        seed=SEED,
        min_kmers=100,
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
            "pysam + EsmTokenizer + collator": (batch * TOKENS / theirs, PLAIN_LIMIT),
            "an H200 on the 500M model": (H200, H200_LIMIT),
        }
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
            record = files[place["genome"]][place["contig"]]
            texts.append(str(record[place["start"] : place["start"] + BASES]))
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *compare(make_human_like(folder / "human")),
            *compare(make_many_small(folder / "many")),
            *measure_start(folder / "start"),
        ]
    return report(rows, output)


if __name__ == "__main__":
    sys.exit(main())
