"""The real trainer for a minute: a simulated genome, its corpus, and scripts/pretrain.py on it.

The trainer is started as Snakemake starts it, with the model's own settings; only the batch is as
small as four passes. Its history says how fast it was; what counts is the second half of the time,
behind compilation and warm-up.
"""

import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from own_step import make_settings

from dnalm.configuration.cluster import resolve_operation
from dnalm.configuration.resolve import resolve_corpus
from dnalm.corpus.build import CorpusConfig, build_corpus
from dnalm.genome.bases import write_bases
from dnalm.genome.simulation.simulate import SimulateConfig, simulate_genome, write_simulated
from dnalm.model.encoder import Encoder
from dnalm.training.hardware import count_flops
from dnalm.training.history import read_history
from dnalm.training.settings import write_settings
from on_gpu.ceilings import find_ceiling, find_square
from on_gpu.machine import PRECISION, Machine, say
from on_gpu.models import describe_run, find_encoder, read_config
from on_gpu.results import Row

TRAINER = Path(__file__).parents[3] / "scripts" / "pretrain.py"
SECONDS, TINY_SECONDS = 60.0, 0.0  # of training, from its first row of history on
LEAST_ROWS = 4
PASSES = 4  # of a step
MAX_START_SECONDS = 180.0  # until the first row: libraries, weights, compilation
MAX_STOP_SECONDS = 45.0  # to save; the weights and moments of 500M are 6 GB
ENOUGH_MEMORY = 24e9  # bytes free in the memory's own file system, to save there
CONTIGS = {"train": 1_500_000, "validation": 150_000, "test": 150_000}
TINY_CONTIGS = {"train": 20_000, "validation": 8_000, "test": 8_000}
# Densities per million bases of a genome that nothing is to be learned from.
GENOME = {
    "seed": 1,
    "genes_per_mb": 100,
    "enhancers_per_mb": 100,
    "inactive_enhancers_per_mb": 0,
    "islands_per_mb": 20,
    "loners_per_mb": 100,
    "repeats_per_mb": 100,
    "gaps_per_mb": 1,
    "tata_share": 0.4,
    "island_share": 0.85,
    "motif_fidelity": 0.92,
}
TAIL = 1500  # letters of a log that ends badly


def measure(machine: Machine, model: str) -> Iterator[Row]:
    """Yield the row of one training run."""
    with tempfile.TemporaryDirectory(prefix="trainer-", dir=find_room(ENOUGH_MEMORY)) as name:
        folder = Path(name)
        command, sequences = _prepare(machine, model, folder)
        machine.tidy()  # the trainer is another process and needs the memory
        begun = time.monotonic()
        started, stopped = _run(machine, command, folder)
        history = read_history(_history(folder))
        yield _describe(machine, model, sequences, history, started - begun, stopped - started)


def find_room(needed: float) -> str | None:
    """Return a folder in memory where `needed` bytes are free; None: where temporary files go."""
    try:
        return "/dev/shm" if shutil.disk_usage("/dev/shm").free > needed else None
    except OSError:
        return None


def _prepare(machine: Machine, model: str, folder: Path) -> tuple[list[str], int]:
    """Write genome, corpus and settings; return the trainer's command and the rows of a pass."""
    config, run = read_config(), describe_run(model)
    selected = make_settings(1, PRECISION).masking.count_slots(run["encoder"]["max_tokens"])
    sequences = machine.choose_sequences(find_encoder(model), selected)
    contigs = TINY_CONTIGS if machine.tiny else CONTIGS
    genome = folder / "genomes" / "simulated"
    genome.mkdir(parents=True)
    fasta = folder / "simulated.fa"
    write_simulated(
        simulate_genome(SimulateConfig(contigs=contigs, **GENOME)),
        fasta,
        folder / "simulated.gtf",
        *(folder / f"simulated.{kind}.bed" for kind in ("promoters", "enhancers", "clusters")),
    )
    write_bases(
        fasta,
        name="simulated",
        config={"path": fasta.name},
        bases=genome / "bases.npy",
        contigs=genome / "contigs.tsv",
        manifest=genome / "manifest.json",
    )
    corpus = resolve_corpus(config, run["corpus"], ["simulated"]) | {
        "split": {"by": "contig", "validation": ["validation"], "test": ["test"]},
        "evaluation_windows": 2 * sequences,
    }
    files = {
        "corpus": folder / "manifest.json",
        "validation": folder / "validation.npy",
        "test": folder / "test.npy",
        "kmer_counts": folder / "kmer_counts.npy",
    }
    build_corpus(
        CorpusConfig(**corpus),
        {"simulated": genome},
        name=run["corpus"],
        panel=None,
        manifest=files["corpus"],
        **{key: files[key] for key in ("validation", "test", "kmer_counts")},
    )
    run["pretrain"] |= {"batch_sequences": PASSES * sequences, "steps": 1_000_000}
    operation = resolve_operation(config, model) | {
        "processes": 1,
        "micro_batch": sequences,
        "threads": 1 if machine.tiny else 8,
        "compile": True,
        "log_every": 1,
        "validate_every": 1_000_000,
        "checkpoint_every": 1_000_000,
        "checkpoint_minutes": None,
        "keep_last": 1,
        "tensorboard": False,
        "scratch": None,
        # Should this process be gone, the trainer still ends by itself.
        "runtime_minutes": (MAX_START_SECONDS + SECONDS + MAX_STOP_SECONDS) / 60,
    }
    files |= {"run": folder / "run.json", "operation": folder / "operation.json"}
    write_settings(files["run"], run)
    write_settings(files["operation"], operation)
    files |= {
        "genomes_folder": folder / "genomes",
        "panels_folder": folder / "panels",
        "weights": folder / "model" / "weights.safetensors",
        "history": folder / "model" / "history.jsonl",
        "log": folder / "log",
    }
    options = (text for key, path in files.items() for text in (_flag(key), str(path)))
    return [sys.executable, str(TRAINER), *options], sequences


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _history(folder: Path) -> Path | None:
    return next(iter((folder / "model" / "state").glob("*/history.jsonl")), None)


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = _history(folder)
    rows = read_history(path) if path else []
    return [row for row in rows if "tokens_per_second" in row]


def _run(machine: Machine, command: list[str], folder: Path) -> tuple[float, float]:
    """Run the trainer until it has trained long enough; return when it began to, and stopped."""
    wanted = TINY_SECONDS if machine.tiny else SECONDS
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        started = None
        limit = time.monotonic() + MAX_START_SECONDS
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the trainer ended by itself: {_tail(folder)}")
            rows, now = _rows(folder), time.monotonic()
            if rows and started is None:
                started, limit = now, now + max(2 * wanted, 60)
                say(f"the trainer has made its first step; it goes on for {wanted:g} s")
            if started and now - started >= wanted and len(rows) >= LEAST_ROWS:
                break
            if now > limit:
                raise RuntimeError(f"the trainer took too long: {_tail(folder)}")
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)  # it saves and stops
        with suppress(subprocess.TimeoutExpired):  # the history is all that is wanted
            process.wait(MAX_STOP_SECONDS)
        return started, now
    finally:
        process.kill()
        process.wait()


def _tail(folder: Path) -> str:
    texts = [folder / name for name in ("output", "log")]
    return " ".join("".join(text.read_text()[-TAIL:] for text in texts if text.exists()).split())


def _describe(
    machine: Machine,
    model: str,
    sequences: int,
    history: list[dict[str, Any]],
    start_seconds: float,
    seconds: float,
) -> Row:
    rows = [row for row in history if "tokens_per_second" in row]
    late = rows[len(rows) // 2 :]
    encoder = find_encoder(model)
    selected = make_settings(1, PRECISION).masking.count_slots(encoder.max_tokens)
    with torch.device("meta"):
        flops = count_flops(Encoder(encoder), encoder.max_tokens, selected) / encoder.max_tokens
    speed = statistics.median(row["tokens_per_second"] for row in late)
    used = [row["mfu"] for row in late if row["mfu"]]
    first, last = rows[0]["loss"], statistics.mean(row["loss"] for row in late)
    waits = statistics.median(row["data_wait_share"] for row in late)
    ceiling = find_ceiling(machine, encoder, sequences, selected)
    return Row(
        part="trainer",
        model=model,
        side=f"scripts/pretrain.py for {seconds:.0f} s",
        value=speed,
        unit="tokens/s",
        sequences=sequences,
        tokens=encoder.max_tokens,
        tflops=flops * speed / 1e12,
        share_of_products=flops * speed / ceiling.products,
        share_of_square=flops * speed / find_square(machine),
        share_of_peak=statistics.median(one["value"] for one in used) if used else None,
        gigabytes=max(row["peak_memory_bytes"] for row in rows) / 1e9,
        # Nobody stands beside it; a loss that is no number would have ended it.
        agrees=None,
        check=f"loss {first:.3f}, in the second half {last:.3f}",
        note=f"{waits:.1%} of the time waits for data",
        facts={
            "steps": rows[-1]["step"],
            "rows": len(rows),
            "start_seconds": start_seconds,
            "data_wait_share": waits,
            "mfu_denominator": used[0]["denominator"] if used else None,
            "speeds": [round(row["tokens_per_second"]) for row in rows],
            "losses": [row["loss"] for row in rows],
        },
    )
