"""Embeddings of a task, made in shards by one process per device; a killed job keeps its shards.

Shapes: N rows of the task table, S rows of a shard, D width, L layers.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from dnalm.benchmark.embedding.embed import EmbedConfig, choose_layers, embed
from dnalm.benchmark.embedding.stored import IDS_KEY, LAYER_PREFIX, row_ids
from dnalm.benchmark.tasks.table import read_task
from dnalm.devices import is_out_of_memory
from dnalm.errors import InputError
from dnalm.files import read_json, sha256_of
from dnalm.jobs.device_use import note_devices
from dnalm.jobs.partial import Format, Partial, clear, hold
from dnalm.jobs.progress import Progress, Tally
from dnalm.jobs.workers import run_in_workers
from dnalm.model.loading import load_model, read_run
from dnalm.model.tensors import stream_arrays
from dnalm.model.token_batches import Limits, TokenRows, crop_long, name_rows

ARRAY = Format(
    suffix=".npy",
    write=np.save,
    read=lambda path: np.load(path, mmap_mode="r"),
    torn=(OSError, EOFError, ValueError),
)
# Settings that may be changed where memory ran out: shards that are finished are used on.
NOT_OF_NUMBERS = ("batch_tokens",)
Pool = Callable[[Sequence[str], Sequence[str], Callable[[int], object]], np.ndarray]
log = logging.getLogger(__name__)


class Model(Protocol):
    """What an embedding job asks of a model and its settings; it is sent to every process."""

    weights: str
    table: str
    config: EmbedConfig
    threads: int

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the safetensors file: what it was made from, and how."""

    def facts(self) -> dict[str, Any]:
        """Return what decides the numbers beside settings and metadata."""

    def layers(self) -> list[int]:
        """Return the layers to embed, ascending."""

    def width(self) -> int:
        """Return the width D of the model's states."""

    def longest_first(self) -> np.ndarray:
        """Return the positions of all rows, longest first; InputError for one that is too long."""

    def open(self, device: str) -> Pool:
        """Return what embeds sequences, by their rows' names, float32 [L, S, D], on a device."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The settings of an embedding job, which every process gets: files by path, the rest by value.

    `run`, `weights` and `table` are the files of the model and of the task, `threads` those of each
    process.
    """

    run: str
    weights: str
    table: str
    config: EmbedConfig
    threads: int

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the safetensors file: what it was made from, and how.

        `cropped` counts the rows of which the middle was embedded.
        """
        config, (_, cropped) = self.config, self.crop(read_task(self.table)["sequence"].tolist())
        return {
            "weights_sha256": sha256_of(self.weights),
            "task_sha256": sha256_of(self.table),
            "layers": json.dumps(self.layers()),
            "pooling": config.pooling,
            "centre_bases": str(config.centre_bases),
            "strands": config.strands,
            "precision": config.precision,
            "dtype": config.dtype,
            "cropped": str(cropped.sum()),
        }

    def crop(self, sequences: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Return what is read of sequences, and of which it is a part, as `crop_long` does."""
        encoder, vocabulary = read_run(self.run)
        limits = Limits(vocabulary=vocabulary, max_tokens=encoder.max_tokens)
        return crop_long(sequences, limits, self.config.too_long)

    def facts(self) -> dict[str, Any]:
        """Return the shape of the model."""
        run = read_json(self.run)
        return {"model": {key: run[key] for key in ("encoder", "k", "vocabulary")}}

    def layers(self) -> list[int]:
        """Return the layers to embed, ascending."""
        return choose_layers(self.config.layers, read_run(self.run)[0].layers)

    def width(self) -> int:
        """Return the width D of the model's states."""
        return read_run(self.run)[0].width

    def longest_first(self) -> np.ndarray:
        """Return the positions of all rows by their tokens, so that batches hold few pads."""
        encoder, vocabulary = read_run(self.run)
        table = read_task(self.table)
        sequences, _ = self.crop(table["sequence"].tolist())
        rows = TokenRows(sequences, name_rows(table), vocabulary, encoder.max_tokens)
        return rows.longest_first(np.arange(len(rows)))

    def open(self, device: str) -> Pool:
        """Load the encoder; return what embeds by it."""
        encoder, vocabulary = load_model(self.run, self.weights)
        encoder = encoder.to(device)

        def pool(sequences: Sequence[str], names: Sequence[str], tick: Callable) -> np.ndarray:
            return embed(encoder, vocabulary, sequences, names, self.layers(), self.config, tick)

        return pool


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard: positions of some rows of the task table, and the name their vectors are kept by."""

    name: str
    rows: np.ndarray


def embed_task(
    embedding: Model, path: str | Path, partial: str | Path, devices: Sequence[str]
) -> None:
    """Write a task's embeddings as a safetensors file, with one process per entry of `devices`.

    It holds `layer.<i>` [N, D] for every requested layer, the table's rows in their order, `ids`,
    uint8, the JSON list of the rows' ids in UTF-8, and the metadata of `Model.metadata`.
    Finished shards lie in a folder below `partial`, named by all that decides their numbers, from
    which the next call on the same goes on; `partial` is removed in the end. Equal calls on a CPU
    give equal bytes, however many processes share the work. Raises InputError for a sequence
    longer than the model's context, for a layer whose numbers the file's type cannot hold, where
    memory runs out, and when another job works below `partial`.
    """
    # Settled for all devices before they share the work, and recorded.
    embedding = replace(embedding, config=embedding.config.on(devices))
    with hold(partial) as lock:
        metadata = embedding.metadata()
        config = {k: v for k, v in asdict(embedding.config).items() if k not in NOT_OF_NUMBERS}
        facts = {**embedding.facts(), "config": config, **metadata}
        kept = Partial(partial, facts, ARRAY)
        shards = _cut(embedding)
        with _explain_shortage(embedding, devices):
            _make_missing(embedding, shards, kept, devices)
        lock.check()
        _assemble(embedding, shards, kept, path, metadata)
        clear(partial)


def _make_missing(
    embedding: Model, shards: Sequence[Shard], kept: Partial, devices: Sequence[str]
) -> None:
    layers, width, kind = len(embedding.layers()), embedding.width(), embedding.config.dtype
    missing = [
        shard
        for shard in shards
        if not _is_array(kept.find(shard.name), (layers, len(shard.rows), width), kind)
    ]
    where = ", ".join(map(str, devices))
    log.info("%d of %d shards to make, on %s", len(missing), len(shards), where)
    strands = 2 if embedding.config.strands == "both" else 1
    rows = strands * sum(len(shard.rows) for shard in missing)
    shares = [missing[place :: len(devices)] for place in range(min(len(devices), len(missing)))]
    note_devices(devices[: len(shares)])
    with Progress("embed", "rows", rows) as progress, progress.tally() as tally:
        calls = (
            joblib.delayed(_make)(embedding, share, kept, device, tally)
            for share, device in zip(shares, devices, strict=False)
        )
        run_in_workers(calls, len(devices))


def _is_array(found: np.ndarray | None, shape: tuple[int, ...], kind: str) -> bool:
    """Return whether what is kept holds what is asked for."""
    return found is not None and found.shape == shape and found.dtype == kind


@contextmanager
def _explain_shortage(embedding: Model, devices: Sequence[str]) -> Iterator[None]:
    """Raise InputError that says what to change where this block runs out of memory."""
    try:
        yield
    except (TerminatedWorkerError, MemoryError, RuntimeError) as error:
        # The kernel kills a process that takes too much, and leaves no message.
        if not isinstance(error, TerminatedWorkerError) and not is_out_of_memory(error):
            raise
        raise InputError(
            f"A process that embedded {embedding.table} on {', '.join(devices)} was killed or ran "
            "out of memory: give the job more memory, or devices that have more, or lower "
            f"embed.batch_tokens, which is {embedding.config.batch_tokens}; what was finished is "
            "kept."
        ) from error


def _cut(embedding: Model) -> list[Shard]:
    """Return shards of rows of similar length, the longest first, so that batches hold few pads."""
    ordered, size = embedding.longest_first(), embedding.config.shard_rows
    return [
        Shard(name=f"{start:08d}", rows=ordered[start : start + size])
        for start in range(0, len(ordered), size)
    ]


def _make(
    embedding: Model,
    shards: Sequence[Shard],
    kept: Partial,
    device: str,
    tally: Tally,
) -> None:
    torch.set_num_threads(embedding.threads)
    pool = embedding.open(device)
    table = read_task(embedding.table)
    sequences, names = table["sequence"].to_numpy(), np.array(name_rows(table), dtype=object)
    kind, layers = embedding.config.dtype, embedding.layers()
    for shard in shards:
        pooled = pool(sequences[shard.rows], names[shard.rows], tally.add)
        kept.write(shard.name, _narrow(pooled, kind, layers, embedding.weights))


def _narrow(pooled: np.ndarray, kind: str, layers: Sequence[int], weights: str) -> np.ndarray:
    """Return the numbers as `kind`; InputError where it cannot hold one that float32 can."""
    with np.errstate(over="ignore"):
        stored = pooled.astype(kind)
    lost = np.isinf(stored) & np.isfinite(pooled)
    if lost.any():
        layer = int(np.flatnonzero(lost.any(axis=(1, 2)))[0])
        largest = np.abs(pooled[layer]).max(initial=0, where=np.isfinite(pooled[layer]))
        raise InputError(
            f"embed.dtype is {kind}, which ends at {np.finfo(kind).max:,.0f}, but layer "
            f"{layers[layer]} of {weights} has {largest:,.0f}: set it to float32."
        )
    return stored


def _assemble(
    embedding: Model,
    shards: Sequence[Shard],
    kept: Partial,
    path: str | Path,
    metadata: Mapping[str, str],
) -> None:
    """Write the file with no more than one layer in memory."""
    layers, kind = embedding.layers(), embedding.config.dtype
    ids = row_ids(embedding.table)
    text = np.frombuffer(json.dumps(ids, ensure_ascii=False).encode(), dtype=np.uint8)
    shape = (len(ids), embedding.width())
    names = [f"{LAYER_PREFIX}{layer}" for layer in layers]

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for place, name in enumerate(names):
            whole = np.empty(shape, dtype=kind)
            for shard in shards:
                whole[shard.rows] = kept.load(shard.name)[place]
            yield name, whole
        yield IDS_KEY, text

    shapes = {**dict.fromkeys(names, shape), IDS_KEY: text.shape}
    types = {**dict.fromkeys(names, kind), IDS_KEY: "uint8"}
    stream_arrays(arrays(), shapes, types, path, metadata)
    log.info("%s: %d layers of %d rows, %d numbers each", path, len(layers), *shape)
