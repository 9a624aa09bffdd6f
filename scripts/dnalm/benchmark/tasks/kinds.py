"""The table of kinds of tasks: what a label is, and how it is predicted, learned and scored.

A new kind is a row here, with functions of its own in `labels` where no other kind's fit. All else
reads the table and decides by a field, never by a kind's name. No torch: the rules read it, too.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dnalm.benchmark.tasks import labels
from dnalm.suggestions import check_choice

# Shapes of the array of labels: N rows, C labels or targets, L bases of the longest row.
ROWS, COLUMNS, BASES = "N", "N C", "N L"
# What one number of a label is: one of several classes, 0 or 1, or a measured number.
CLASS, FLAG, NUMBER = "class", "flag", "number"
# What a model's logits are turned into, and what is minimised.
SOFTMAX, SIGMOID, IDENTITY = "softmax", "sigmoid", "identity"
CROSS_ENTROPY, BINARY_CROSS_ENTROPY = "cross_entropy", "binary_cross_entropy"
SQUARED_ERROR = "squared_error"
# How scikit-learn averages F1 and AUC over classes.
OF_CLASS_1, OVER_CLASSES = "binary", "macro"
CLASS_METRICS = ("mcc", "accuracy", "f1", "auc")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a kind of task owes to all stages; functions are those of `labels`.

    Attributes:
        shape: of the array of labels, ROWS, COLUMNS or BASES.
        value: CLASS, FLAG or NUMBER, what one number of the array is.
        unit, units: what `classes` of a task counts, for people.
        min_classes, max_classes: the bounds of `classes`; the second may be None.
        stack: labels or predictions, one cell for each row, as an array.
        decide: what a model predicts, of the shape and type of its labels, from its outputs:
            probabilities, [N, C] or of bases [N, L, C]; of numbers the values [N, C].
        strata: int64 [N], the groups of rows that every fold is to hold in equal shares.
        varying: bool [C], the labels or targets that differ between rows; else one bool in all.
        counted, count: the key of a task's summary under which the labels of a split are counted,
            and what is written there.
        activation, loss: how logits become outputs, and what training minimises.
        metrics: the scores; by the first, the headline, models are chosen and compared.
        average: over classes, of those metrics that need one; None where none does.
        ranked: whether the headline is computed from probabilities, which are then kept.
    """

    name: str
    shape: str
    value: str
    unit: str
    units: str
    min_classes: int
    max_classes: int | None
    stack: Callable[[Iterable], np.ndarray]
    decide: Callable[[np.ndarray], np.ndarray]
    strata: Callable[[np.ndarray], np.ndarray]
    varying: Callable[[np.ndarray], np.ndarray]
    counted: str
    count: Callable[[np.ndarray, int], list]
    activation: str
    loss: str
    metrics: tuple[str, ...]
    average: str | None
    ranked: bool

    @property
    def headline(self) -> str:
        """The metric by which models are chosen and compared."""
        return self.metrics[0]

    @property
    def one_class(self) -> bool:
        """Whether a row has one class: the labels that `build:` makes and rows can tell alone."""
        return self.shape == ROWS and self.value == CLASS

    @property
    def two_classes(self) -> bool:
        """Whether a row has one of two classes, so that the probability of one gives the other."""
        return self.one_class and self.max_classes == 2

    @property
    def pooled(self) -> bool:
        """Whether one vector for each sequence suffices; without, a task is fine-tuned alone."""
        return self.shape != BASES

    @property
    def probabilistic(self) -> bool:
        """Whether outputs are probabilities."""
        return self.value != NUMBER

    @property
    def contradictory(self) -> bool:
        """Whether equal sequences with different labels contradict each other.

        Numbers always differ a little, and labels of bases move with the window.
        """
        return self.pooled and self.value != NUMBER

    def values(self, classes: int | None) -> int | None:
        """Return how many values one number of a label may have, for a task with `classes`."""
        return 2 if self.value == FLAG else self.max_classes or classes

    def allows(self, classes: int) -> bool:
        """Return whether a task of this kind may have so many classes, labels or targets."""
        return self.min_classes <= classes and classes <= (self.max_classes or classes)


BINARY = Kind(
    name="binary",
    shape=ROWS,
    value=CLASS,
    unit="class",
    units="classes",
    min_classes=2,
    max_classes=2,
    stack=labels.stack_classes,
    decide=labels.most_probable,
    strata=labels.strata_of_classes,
    varying=labels.varying_classes,
    counted="rows_per_class",
    count=labels.count_classes,
    activation=SOFTMAX,
    loss=CROSS_ENTROPY,
    metrics=CLASS_METRICS,
    average=OF_CLASS_1,
    ranked=False,
)
MULTICLASS = Kind(
    name="multiclass",
    shape=ROWS,
    value=CLASS,
    unit="class",
    units="classes",
    min_classes=3,
    max_classes=None,
    stack=labels.stack_classes,
    decide=labels.most_probable,
    strata=labels.strata_of_classes,
    varying=labels.varying_classes,
    counted="rows_per_class",
    count=labels.count_classes,
    activation=SOFTMAX,
    loss=CROSS_ENTROPY,
    metrics=CLASS_METRICS,
    average=OVER_CLASSES,
    ranked=False,
)
MULTILABEL = Kind(
    name="multilabel",
    shape=COLUMNS,
    value=FLAG,
    unit="label",
    units="labels",
    min_classes=2,
    max_classes=None,
    stack=labels.stack_flags,
    decide=labels.above_half,
    strata=labels.strata_of_flags,
    varying=labels.varying_columns,
    counted="rows_per_class",
    count=labels.count_flags,
    activation=SIGMOID,
    loss=BINARY_CROSS_ENTROPY,
    metrics=("auc_mean", "average_precision_mean", "f1_mean", "mcc_mean"),
    average=None,
    ranked=True,
)
REGRESSION = Kind(
    name="regression",
    shape=COLUMNS,
    value=NUMBER,
    unit="target",
    units="targets",
    min_classes=1,
    max_classes=None,
    stack=labels.stack_numbers,
    decide=labels.unchanged,
    strata=labels.strata_of_numbers,
    varying=labels.varying_columns,
    counted="targets",
    count=labels.describe_numbers,
    activation=IDENTITY,
    loss=SQUARED_ERROR,
    metrics=("pearson_mean", "spearman_mean", "r2_mean", "rmse_mean"),
    average=None,
    ranked=False,
)
PER_BASE = Kind(
    name="per_base",
    shape=BASES,
    value=CLASS,
    unit="class",
    units="classes",
    min_classes=2,
    max_classes=None,
    stack=labels.stack_bases,
    decide=labels.most_probable,
    strata=labels.strata_of_bases,
    varying=labels.varying_bases,
    counted="bases_per_class",
    count=labels.count_classes,
    activation=SOFTMAX,
    loss=CROSS_ENTROPY,
    metrics=("top_k_accuracy", "average_precision_mean", "mcc", "accuracy"),
    average=None,
    ranked=True,
)
KINDS = (BINARY, MULTICLASS, MULTILABEL, REGRESSION, PER_BASE)
BY_NAME = {kind.name: kind for kind in KINDS}


def find_kind(name: str) -> Kind:
    """Return the row of a kind; raise InputError, with the known ones, for another name."""
    if name not in BY_NAME:
        check_choice("kind", name, BY_NAME)
    return BY_NAME[name]


def kind_of_classes(classes: int | None) -> Kind:
    """Return the kind of a task whose rows have one of so many classes; of None the first."""
    kinds = [kind for kind in KINDS if kind.one_class]
    return next((kind for kind in kinds if classes is None or kind.allows(classes)), kinds[-1])


def label_array(table: Mapping[str, Iterable], kind: str) -> np.ndarray:
    """Return the labels of a task table as an array of the kind's shape."""
    return find_kind(kind).stack(table["label"])


def cut_to(outputs: np.ndarray, truth: np.ndarray, kind: Kind) -> np.ndarray:
    """Return the labels `truth` as wide as the outputs for the same rows.

    Labels of bases are as wide as the longest row of the task, outputs as that of these rows.
    """
    return truth[:, : outputs.shape[1]] if kind.shape == BASES else truth
