"""A planted genome, its corpus, and the smallest run that trains on it."""

import copy
import json
import multiprocessing
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnalm.corpus.build import CorpusConfig, build_corpus
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.genome.bases import write_bases
from dnalm.genome.kmers import Vocabulary
from dnalm.parallel.distributed import Group
from dnalm.training import launch
from dnalm.training.history import read_history

REPOSITORY = Path(__file__).parents[3]
TRAINER = REPOSITORY / "scripts" / "pretrain.py"
PATIENCE_SECONDS = 600

RUN = {
    "model": "tiny",
    "encoder": {
        "layers": 2,
        "heads": 2,
        "width": 16,
        "ffn_width": 32,
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "max_tokens": 40,
        "vocabulary_size": 75,
        "pad_id": 1,
        "mask_id": 2,
        "token_dropout": None,
        "dropout": 0.0,
        "layer_norm_eps": 1e-5,
        "initialisation": "haiku",
    },
    "corpus": "planted",
    "k": 3,
    "vocabulary": "v2",
    "initial_weights": None,
    "pretrain": {
        "masking": {"selected": 0.15, "masked": 0.8, "random": 0.1},
        "batch_sequences": 6,
        "tokens": 10**9,
        "steps": 12,
        "optimizer": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {
            "initial": 1e-4,
            "peak": 1e-3,
            "warmup_steps": 5,
            "decay": "inverse_sqrt",
        },
        "gradient_clip": 1.0,
        "precision": "float32",
        "seed": 7,
        "min_kmers": 8,
    },
}
OPERATION = {
    "processes": 1,
    "micro_batch": 6,
    "threads": 1,
    "workers": 1,
    "compile": False,
    "sharding": "auto",
    "reshard": "auto",
    "activation_checkpointing": "auto",
    "reduce_in_backward": False,
    "log_every": 1,
    "validate_every": 6,
    "checkpoint_every": 5,
    "checkpoint_minutes": None,
    "keep_last": 2,
    "tensorboard": False,
    "scratch": None,
    "runtime_minutes": None,
}


@dataclass(frozen=True)
class Corpus:
    """Where a planted corpus lies."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())

    def windows(self, seed: int = RUN["pretrain"]["seed"]) -> TrainingWindows:
        return TrainingWindows(self.manifest, {"planted": self.folder / "genomes/planted"}, seed)


def plant(
    folder: Path,
    contigs: dict[str, str],
    *,
    k: int,
    window: int,
    max_tokens: int = 40,
    evaluation_windows: int = 30,
) -> Corpus:
    """Write a genome of contigs and the corpus made of it.

    Contigs whose names begin with validation or test are those of these splits.
    """
    genome = folder / "genomes" / "planted"
    genome.mkdir(parents=True)
    fasta = folder / "planted.fa"
    fasta.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    files = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    write_bases(
        fasta,
        name="planted",
        config={"path": "planted.fa"},
        **{key: genome / name for key, name in files.items()},
    )
    build_corpus(
        CorpusConfig(
            genomes=["planted"],
            windows={"length": window + k, "stride": window // 2, "start_max": k},
            split={
                "by": "contig",
                **{
                    split: [name for name in contigs if name.startswith(split)]
                    for split in ("validation", "test")
                },
            },
            k=k,
            vocabulary="v2",
            max_tokens=max_tokens,
            min_kmers=8,
            evaluation_windows=evaluation_windows,
            haplotypes=None,
        ),
        {"planted": genome},
        name="planted",
        panel=None,
        manifest=folder / "manifest.json",
        validation=folder / "validation.npy",
        test=folder / "test.npy",
        kmer_counts=folder / "kmer_counts.npy",
    )
    return Corpus(folder)


def random_bases(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length, p=[0.4, 0.1, 0.2, 0.3]))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    """Random bases, a run of N among them: 3-mers, windows of 33 tokens."""
    contigs = {
        "train": random_bases(3000, 1) + "N" * 150 + random_bases(3000, 2),
        "validation": random_bases(900, 3),
        "test": random_bases(900, 4),
    }
    return plant(tmp_path_factory.mktemp("corpus"), contigs, k=3, window=96)


@pytest.fixture(scope="session")
def plant_corpus():
    """Return a function that makes a 3-mer corpus of windows of 33 tokens of {contig: bases}."""
    return lambda folder, contigs: plant(folder, contigs, k=3, window=96)


@pytest.fixture(scope="session")
def plant_windows():
    """Return a function that makes a corpus of any k and any number of evaluated windows."""
    return plant


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(3, "v2")


@dataclass(frozen=True)
class Job:
    """One run in a folder of its own, started as Snakemake would start it."""

    folder: Path
    command: list[str]

    @property
    def weights(self) -> Path:
        return self.folder / "models" / "weights.safetensors"

    @property
    def state(self) -> Path:
        (state,) = (self.folder / "models" / "state").iterdir()
        return state

    def train(self) -> str | None:
        """Train in this process, without the launcher around; return why it stopped."""
        files, allocation = launch.parse(self.command[2:])
        stop = launch.pretrain(files, allocation, Group(None), started=0.0)
        return stop and stop.reason

    def history(self) -> list[dict[str, Any]]:
        return read_history(self.folder / "models" / "history.jsonl")

    def curve(self) -> list[float]:
        """Return all losses, of training and of validation, in their order."""
        return [value for row in self.history() for key, value in row.items() if "loss" in key]


@pytest.fixture(scope="session")
def make_job(tmp_path_factory, corpus, job_forks):
    """Return a function that writes the settings of a job, `change(run, operation)` applied.

    Its command starts forks of a process that has imported torch, ranks among them.
    """

    def make(change=lambda run, operation: None, corpus: Corpus = corpus) -> Job:
        folder = tmp_path_factory.mktemp("job")
        (folder / "models").mkdir()
        run, operation = copy.deepcopy(RUN), copy.deepcopy(OPERATION)
        change(run, operation)
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "operation.json").write_text(json.dumps(operation))
        options = {
            "run": folder / "run.json",
            "operation": folder / "operation.json",
            "corpus": corpus.folder / "manifest.json",
            "validation": corpus.folder / "validation.npy",
            "test": corpus.folder / "test.npy",
            "kmer-counts": corpus.folder / "kmer_counts.npy",
            "genomes-folder": corpus.folder / "genomes",
            "panels-folder": corpus.folder / "haplotypes",
            "weights": folder / "models" / "weights.safetensors",
            "history": folder / "models" / "history.jsonl",
            "log": folder / "log",
        }
        pairs = [text for name, path in options.items() for text in (f"--{name}", str(path))]
        return Job(folder, [str(job_forks.interpreter), str(TRAINER), *pairs])

    return make


@pytest.fixture
def operation_settings() -> dict[str, Any]:
    return copy.deepcopy(OPERATION)


@pytest.fixture(scope="session")
def start_together():
    """Return a function that starts so many processes, on nodes of so many, which train one job.

    They are forked from a server that has imported torch, as `torchrun` would start them.
    """
    context = multiprocessing.get_context("forkserver")
    parts = ("fsdp", "checkpoint", "tensor", "device_mesh")
    context.set_forkserver_preload(
        ["dnalm.training.launch", "torch._dynamo", *(f"torch.distributed.{part}" for part in parts)]
    )
    train = "import os; os.environ.update(joining); import dnalm.training.launch as l; l.main(job)"

    def start(job: Job, size: int, on_node: int | None = None) -> list[multiprocessing.Process]:
        joining = {"MASTER_ADDR": "localhost", "WORLD_SIZE": str(size)}
        with socket.create_server(("localhost", 0)) as server:
            joining["MASTER_PORT"] = str(server.getsockname()[1])
        processes = []
        for rank in range(size):
            ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank % (on_node or size))}
            names = {"joining": joining | ranks}
            values = names | {"job": job.command[1:]}
            processes.append(context.Process(target=exec, args=(train, values), daemon=True))
        with pytest.MonkeyPatch.context() as patched:  # the server starts with the first of all
            patched.setenv("OMP_NUM_THREADS", "1")
            patched.setenv("PYTHONPATH", str(REPOSITORY / "scripts"))
            for process in processes:
                process.start()
        return processes

    return start


@pytest.fixture(scope="session")
def train_together(start_together):
    """Return a function that waits for what `start_together` started to end well."""

    def train(job: Job, size: int, on_node: int | None = None) -> Job:
        processes = start_together(job, size, on_node)
        for process in processes:
            process.join(timeout=PATIENCE_SECONDS)
        codes = [process.exitcode for process in processes]
        for process in processes:
            process.kill()
        assert codes == [0] * size, (job.folder / "log").read_text()
        return job

    return train
