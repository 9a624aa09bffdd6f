"""Embedding jobs of models that are not ours, see `dnalm.model.embedders`.

Shapes: S sequences, L requested layers, D width.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnalm.benchmark.embedding.embed import EmbedConfig, choose_layers
from dnalm.benchmark.embedding.shards import Pool
from dnalm.benchmark.tasks.table import read_task
from dnalm.devices import compute_in, fetch
from dnalm.errors import InputError
from dnalm.files import read_facts, sha256_of, write_json
from dnalm.genome.kmers import other_strand
from dnalm.model.embedders.agreement import TOLERANCES, check_agreement, check_logits
from dnalm.model.embedders.contract import (
    MAX_SPECIAL,
    Embedder,
    check_lengths,
    count_tokens,
    embed_checked,
)
from dnalm.model.embedders.logits import has_logits
from dnalm.model.embedders.opening import hash_weights, name_embedder, open_embedder
from dnalm.model.embedders.spans import pool_spans
from dnalm.model.embedders.tunable import ForeignLimits, ForeignTokens
from dnalm.model.token_batches import CENTRE, REFUSE, crop_long, limit_tokens, name_rows

# Of different lengths, so that a batch of them has pads; the N are where no model may stumble.
CHECKED_BASES = (24, 61, 150, 300)
CHECKED_ROWS = 3  # of a task: the longest, the middle one and the shortest
# Before, at and behind the N of the last one.
PARTS = (slice(7), slice(7, 8), slice(8, None))
RIGHTS = ("licence", "citation")
FACTS = ("layers", "width", "weights_sha256")


@dataclass(frozen=True, kw_only=True)
class EmbedderEmbedding:
    """The settings of an embedding job of an embedder; files by path.

    `entry` says how it is opened, with a folder where `weights` are of a hub; `described` is the
    file of `describe_embedder`. `rights`, {licence, citation}, are told in the metadata.
    """

    entry: Mapping[str, Any]
    described: str
    table: str
    config: EmbedConfig
    threads: int
    rights: Mapping[str, str | None]

    @property
    def weights(self) -> str:
        """What messages call the model."""
        return name_embedder(self.entry)

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the safetensors file: what it was made from, and how.

        `cropped` counts the rows of which the middle was embedded, where that is asked for.
        """
        settings = asdict(self.config)
        told = ("pooling", "centre_bases", "strands", "precision", "dtype")
        return {
            "weights_sha256": self._facts["weights_sha256"],
            "task_sha256": sha256_of(self.table),
            "layers": json.dumps(self.layers()),
            **{key: str(settings[key]) for key in told},
            "embedder": self.weights,
            **{key: self.rights[key] or "" for key in RIGHTS},
            # Not where rows are refused: what was begun before is found by these texts.
            **({"cropped": str(self._count_long())} if self.config.too_long == CENTRE else {}),
        }

    def facts(self) -> dict[str, Any]:
        """Return how the embedder is opened."""
        return {"embedder": dict(self.entry)}

    def layers(self) -> list[int]:
        """Return the layers to embed, ascending; InputError for the token table, which is ours."""
        layers = choose_layers(self.config.layers, self._facts["layers"])
        if 0 in layers:
            raise InputError(
                f"embed.layers has 0, the token table, which {self.weights} does not give: drop it."
            )
        return layers

    def width(self) -> int:
        """Return the width D of the embedder's states."""
        return self._facts["width"]

    def longest_first(self) -> np.ndarray:
        """Return the positions of all rows by their tokens, also those not read, longest first."""
        return self._order(open_embedder(self.entry, "cpu"))

    def open(self, device: str) -> Pool:
        """Open the embedder, check it on rows of the task; return what embeds by it."""
        embedder = open_embedder(self.entry, device)
        config, place = self.config, torch.device(device)
        table = read_task(self.table)
        chosen = self._order(embedder)
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(CHECKED_ROWS, len(chosen))).astype(int)]
        names = name_rows(table)
        limits = _find_limits(embedder, self.weights, config)
        texts, _ = crop_long(table["sequence"].iloc[chosen].tolist(), limits, config.too_long)
        rows = [names[row] for row in chosen]
        with compute_in(config.precision, place):
            check_agreement(embedder, self.weights, texts, rows, config.precision)

        def pool(sequences: Sequence[str], names: Sequence[str], tick: Callable) -> np.ndarray:
            layers = [layer - 1 for layer in self.layers()]
            return pool_sequences(
                embedder, self.weights, sequences, names, layers, config, place, tick
            )

        return pool

    def _order(self, embedder: Embedder) -> np.ndarray:
        table = read_task(self.table)
        sequences, names = table["sequence"].tolist(), name_rows(table)
        tokens = count_tokens(embedder, sequences)
        if self.config.too_long == REFUSE:
            check_lengths(embedder, self.weights, sequences, names, tokens, may_crop=True)
        return np.argsort(-tokens, kind="stable")

    def _count_long(self) -> int:
        """Return how many rows are longer than the embedder reads."""
        limits = _find_limits(open_embedder(self.entry, "cpu"), self.weights, self.config)
        return int(limits.find_long(read_task(self.table)["sequence"].tolist()).sum())

    @property
    def _facts(self) -> dict[str, Any]:
        return read_facts(self.described, FACTS)


@torch.inference_mode()
def pool_sequences(
    embedder: Embedder,
    name: str,
    sequences: Sequence[str],
    names: Sequence[str],
    layers: Sequence[int],
    config: EmbedConfig,
    device: torch.device,
    tick: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """Return the pooled states of sequences, float32 [L, S, D], as `dnalm...embed.embed` does.

    `layers` are positions among the embedder's. Raises InputError where an answer breaks the
    contract, see `embed_checked`, and for a sequence over its limits, unless `too_long` is centre.
    """
    limits = _find_limits(embedder, name, config)
    strands = [crop_long(sequences, limits, config.too_long)[0]]
    if config.strands == "both":
        strands.append([other_strand(sequence) for sequence in strands[0]])
    pooled = np.zeros((len(layers), len(sequences), embedder.width), dtype=np.float32)
    most = limit_tokens(config.batch_tokens, device)
    for strand in strands:
        tokens = count_tokens(embedder, strand)
        check_lengths(embedder, name, strand, names, tokens, may_crop=True)

        def batches(
            strand: list[str] = strand, tokens: np.ndarray = tokens
        ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
            for chosen in _batch(tokens, most):
                own = [strand[row] for row in chosen]
                with compute_in(config.precision, device):
                    answers = embed_checked(embedder, name, own, [names[row] for row in chosen])
                vectors = [
                    pool_spans(states[layers], spans, sequence, config.pooling, config.centre_bases)
                    for sequence, (states, spans) in zip(own, answers, strict=True)
                ]
                yield chosen, torch.stack(vectors, dim=1)

        for chosen, vectors in fetch(batches()):
            pooled[:, chosen] += vectors / len(strands)
            tick(len(chosen))
    return pooled


def _find_limits(embedder: Embedder, name: str, config: EmbedConfig) -> ForeignLimits:
    """Return what an embedder reads, on both strands where both are embedded."""
    tokens = ForeignTokens(embedder=embedder, name=name)
    return ForeignLimits.of(tokens, both=config.strands == "both")


def _batch(tokens: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Yield all rows once, longest first, in batches of at most `most` tokens, pads included."""
    ordered, start = np.argsort(-tokens, kind="stable"), 0
    while start < len(ordered):
        size = max(1, most // max(1, int(tokens[ordered[start]])))
        yield ordered[start : start + size]
        start += size


def describe_embedder(
    entry: Mapping[str, Any], told: Mapping[str, Any], device: str, path: str | Path
) -> None:
    """Open an embedder, check it on random sequences, and write down what it is.

    `told` is written along: model, licence and citation. Raises InputError where it does not keep
    the contract, or where its states of a sequence depend on the batch.
    """
    embedder, name = open_embedder(entry, device), name_embedder(entry)
    limits = [embedder.max_bases, getattr(embedder, "max_tokens", None)]
    limit = max(1, min([*filter(None, limits), max(CHECKED_BASES) + MAX_SPECIAL]) - MAX_SPECIAL)
    sequences = draw_sequences([min(bases, limit) for bases in CHECKED_BASES])
    names = [f"{place} of the check" for place in range(len(sequences))]
    check_lengths(embedder, name, sequences, names, count_tokens(embedder, sequences))
    with torch.inference_mode(), compute_in("float32", torch.device(device)):
        difference = check_agreement(embedder, name, sequences, names, "float32")
        answers = embed_checked(embedder, name, sequences, names)
        _check_counts(embedder, name, sequences, [len(spans) for _, spans in answers])
        offers = has_logits(embedder)
        if offers:
            check_logits(embedder, name, sequences, [spans for _, spans in answers])
    write_json(
        path,
        {
            **told,
            "embedder": dict(entry),
            "layers": embedder.layers,
            "width": embedder.width,
            "max_bases": embedder.max_bases,
            "max_tokens": getattr(embedder, "max_tokens", None),
            "logits": offers,
            "weights_sha256": hash_weights(embedder, entry),
            "check": {
                "bases": [len(sequence) for sequence in sequences],
                "tokens": [len(spans) for _, spans in answers],
                "difference": difference,
                "tolerance": TOLERANCES["float32"],
            },
        },
    )


def _check_counts(embedder: Any, name: str, sequences: Sequence[str], found: list[int]) -> None:
    """Raise InputError where an embedder counts other tokens than it has states of."""
    if getattr(embedder, "count_tokens", None) is None:
        return
    told = count_tokens(embedder, sequences).tolist()
    for sequence, said, own in zip(sequences, told, found, strict=True):
        if said != own:
            raise InputError(
                f"{name} has {said} tokens by count_tokens of a sequence of {len(sequence)} bases,"
                f" but states of {own}: correct one of them, batches are cut by it."
            )


def draw_sequences(lengths: Sequence[int]) -> list[str]:
    """Return random sequences, always the same; the last one has an N."""
    generator = random.Random(0)
    drawn = ["".join(generator.choices("ACGT", k=length)) for length in lengths]
    before, base, after = (drawn[-1][part] for part in PARTS)
    return [*drawn[:-1], before + "N" * len(base) + after]
