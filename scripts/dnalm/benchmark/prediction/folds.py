"""What predicts by folds: a probe on pooled states, or a fine-tuned model; on which encoder.

Shapes: N sequences, C classes (multilabel: labels, regression: targets), L bases, D width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dnalm.benchmark.embedding.embed import EmbedConfig, embed
from dnalm.benchmark.embedding.embedders import pool_sequences
from dnalm.benchmark.finetuning.classifier import FoldClassifiers
from dnalm.benchmark.finetuning.classifier import predict as predict_rows
from dnalm.benchmark.probing.saved import SavedProbe
from dnalm.benchmark.tasks.kinds import Kind
from dnalm.genome.kmers import Vocabulary
from dnalm.model.convolutions import Network
from dnalm.model.embedders.frozen import FrozenEmbedder
from dnalm.model.embedders.tunable import ForeignEncoder, ForeignTokens
from dnalm.model.encoder import Encoder
from dnalm.model.token_batches import REFUSE, TokenRows

AnyEncoder = Encoder | Network | ForeignEncoder | FrozenEmbedder


class Base(Protocol):
    """The model below a classifier: an encoder, its vocabulary, and its file of weights.

    Of a model that is not ours `weights` are what it is called, and `sha256` beside them their
    hash.
    """

    encoder: AnyEncoder
    vocabulary: Vocabulary | ForeignTokens
    weights: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What a classifier's file says: its task, its model, and the folds that it holds.

    `names` are those of the classes, labels or targets, their numbers where the task has no names;
    `lengths` the bases (min, max) of the task's rows, None in older files. `made` are the settings
    of its features: layer, pooling, centre_bases, strands, precision; none of a network.
    """

    path: Path
    method: str
    model: str
    task: str
    kind: Kind
    classes: int
    names: list[str]
    numbered: bool
    lengths: tuple[int, int] | None
    folds: tuple[int, ...]
    made: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Sequences, the encoder that reads them, and the most tokens of a batch."""

    sequences: Sequence[str]
    names: Sequence[str]
    encoder: AnyEncoder
    vocabulary: Vocabulary | ForeignTokens
    batch: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeFolds:
    """A probe: models of one layer's embeddings, which all folds share."""

    probe: SavedProbe

    def outputs(self, rows: Rows, facts: Facts, folds: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the outputs of each of `folds`, as of `Classifier`."""
        made = {key: value for key, value in facts.made.items() if key != "layer"}
        dtype = self.probe.metadata["features"]["dtype"]
        config = EmbedConfig(
            layers=[self.probe.layer],
            batch_tokens=rows.batch,
            dtype=dtype,
            shard_rows=len(rows.sequences),
            too_long=REFUSE,  # which was seen to before
            **made,
        )
        pooled = _embed(rows, config)
        # As the file of embeddings rounded them, from which the probe was fitted.
        features = pooled.astype(dtype).astype(np.float32)
        for fold in folds:
            yield self.probe.models[fold].outputs(features)


def _embed(rows: Rows, config: EmbedConfig) -> np.ndarray:
    """Return the pooled states [N, D] of the one layer of `config`."""
    encoder, sequences, names = rows.encoder, rows.sequences, rows.names
    if not isinstance(encoder, FrozenEmbedder):
        return embed(encoder, rows.vocabulary, sequences, names, config.layers, config)[0]
    layers, config = [layer - 1 for layer in config.layers], config.on([encoder.device])
    own = encoder.embedder, encoder.name
    return pool_sequences(*own, sequences, names, layers, config, encoder.device)[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedFolds:
    """A fine-tuned model: an adapter and a head for each fold."""

    tuned: FoldClassifiers

    def outputs(self, rows: Rows, facts: Facts, folds: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the outputs of each of `folds`, as of `Classifier`."""
        tokens: TokenRows
        if isinstance(rows.vocabulary, ForeignTokens):
            made = facts.made["pooling"], facts.made["centre_bases"]
            tokens = (
                rows.vocabulary.make_rows(rows.sequences, rows.names, *made)
                if facts.kind.pooled
                else rows.vocabulary.make_base_rows(rows.sequences, rows.names)
            )
        else:
            max_tokens = rows.encoder.config.max_tokens
            tokens = TokenRows(rows.sequences, rows.names, rows.vocabulary, max_tokens)
        everyone = np.arange(len(tokens))
        for fold in folds:
            classifier, scale = self.tuned.load(fold)
            yield predict_rows(classifier, tokens, everyone, rows.batch, facts.kind.name, scale)
