"""What fine-tuning reads of a task: tokenised rows, and labels as the folds are trained on them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dnalm.benchmark.finetuning.classifier import Classifier
from dnalm.benchmark.finetuning.settings import BINS, Finetuning
from dnalm.benchmark.scoring.objectives import Scale, weigh_classes
from dnalm.benchmark.tasks.kinds import NUMBER, Kind, find_kind
from dnalm.benchmark.tasks.splits import Split, Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.genome.kmers import Vocabulary
from dnalm.model.embedders.tunable import ForeignTokens
from dnalm.model.heads import BinExpectation, bin_values
from dnalm.model.token_batches import TokenRows, name_rows


@dataclass(frozen=True, kw_only=True)
class FoldData:
    """Rows of one fold, and the labels of all rows: those of a regression are standardised.

    `scale` is that of a regression, `weights` are those of classes, `bins` the values over which
    a head takes its expectations, [C, number]; else None.
    """

    split: Split
    labels: np.ndarray
    scale: Scale | None
    weights: Tensor | None
    bins: np.ndarray | None


class TaskData:
    """All rows of a task in the tokens of a model.

    `windows` is how many rows of tokens each of them has in a batch: all the first ones, then all
    the second ones. Raises InputError for a sequence longer than the context.
    """

    windows = 1

    def __init__(
        self,
        finetuning: Finetuning,
        vocabulary: Vocabulary | ForeignTokens,
        max_tokens: int | None,
    ) -> None:
        table = read_task(finetuning.table)
        self.finetuning = finetuning
        self.kind: Kind = find_kind(finetuning.kind)
        self.splits = Splits(table, finetuning.kind)
        foreign = vocabulary if isinstance(vocabulary, ForeignTokens) else None
        sequences, _ = finetuning.crop(table["sequence"].tolist(), foreign)
        names = name_rows(table)
        self.rows: TokenRows
        if foreign:
            how = finetuning.pooling, finetuning.centre_bases
            self.rows = (
                foreign.make_rows(sequences, names, *how)
                if self.kind.pooled
                else foreign.make_base_rows(sequences, names)
            )
        else:
            self.rows = TokenRows(sequences, names, vocabulary, max_tokens)

    @staticmethod
    def list_folds(finetuning: Finetuning) -> list[int]:
        """Return the numbers of the folds, ascending."""
        return Splits(read_task(finetuning.table), finetuning.kind).folds

    def test_rows(self, fold: int) -> np.ndarray:
        """Return the rows by which a fold is tested: of a task the same of all."""
        return self.splits.test

    def prepare(self, classifier: Classifier, fold: FoldData) -> None:
        """Give a new classifier what its head takes from the rows of a fold."""
        if isinstance(classifier.output, BinExpectation):
            classifier.output.set_values(fold.bins)

    def fold(self, fold: int) -> FoldData:
        """Return what training one fold takes."""
        split, labels = self.splits[fold], self.splits.labels
        scale = Scale.of(labels[split.training]) if self.kind.value == NUMBER else None
        config = self.finetuning.config
        weights = weigh_classes(
            config.class_weights, labels[split.training], self.kind.name, self.finetuning.classes
        )
        given = scale.standardise(labels) if scale else labels
        bins = None
        if config.head == BINS:
            seen = given[split.training]
            bins = bin_values(seen.min(axis=0), seen.max(axis=0), **config.bins)
        return FoldData(split=split, labels=given, scale=scale, weights=weights, bins=bins)
