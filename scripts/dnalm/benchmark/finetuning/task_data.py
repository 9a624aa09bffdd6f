"""What fine-tuning reads of a task: tokenised rows, and labels as the folds are trained on them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.scoring.objectives import Scale, balanced_weights
from dnalm.benchmark.tasks.kinds import NUMBER, Kind, find_kind
from dnalm.benchmark.tasks.splits import Split, Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.genome.kmers import Vocabulary
from dnalm.model.token_batches import TokenRows, name_rows


@dataclass(frozen=True, kw_only=True)
class FoldData:
    """Rows of one fold, and the labels of all rows: those of a regression are standardised.

    `scale` is that of a regression, `weights` are those of classes, else None.
    """

    split: Split
    labels: np.ndarray
    scale: Scale | None
    weights: Tensor | None


class TaskData:
    """All rows of a task in the tokens of a model.

    Raises InputError for a sequence longer than the context.
    """

    def __init__(self, finetuning: Finetuning, vocabulary: Vocabulary, max_tokens: int) -> None:
        table = read_task(finetuning.table)
        self.finetuning = finetuning
        self.kind: Kind = find_kind(finetuning.kind)
        self.splits = Splits(table, finetuning.kind)
        self.rows = TokenRows(table["sequence"].tolist(), name_rows(table), vocabulary, max_tokens)

    def fold(self, fold: int) -> FoldData:
        """Return what training one fold takes."""
        split, labels = self.splits[fold], self.splits.labels
        scale = Scale.of(labels[split.training]) if self.kind.value == NUMBER else None
        weights = None
        if self.finetuning.config.class_weights == "balanced":
            weights = balanced_weights(
                labels[split.training], self.kind.name, self.finetuning.classes
            )
        return FoldData(
            split=split,
            labels=scale.standardise(labels) if scale else labels,
            scale=scale,
            weights=weights,
        )
