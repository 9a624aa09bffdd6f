"""How scores are called and explained, by metric."""

import pandas as pd

NAMES = {
    "mcc": "MCC",
    "accuracy": "accuracy",
    "f1": "F1",
    "auc": "AUC",
    "auc_mean": "mean AUC",
    "average_precision_mean": "mean average precision",
    "f1_mean": "mean F1",
    "mcc_mean": "mean MCC",
    "pearson_mean": "mean Pearson r",
    "spearman_mean": "mean Spearman ρ",
    "r2_mean": "mean R²",
    "rmse_mean": "mean RMSE",
    "top_k_accuracy": "top-k accuracy",
}
# By metric that a kind of task is compared by: what it is, and what guessing scores.
WORDS = {
    "mcc": (
        "Matthews correlation coefficient: agreement of predicted and true classes that is fair "
        "when classes differ in size. 1 is perfect, 0 is guessing, below 0 is worse than guessing."
    ),
    "auc_mean": (
        "Of tasks with several labels for each sequence: the area under the ROC curve of each "
        "label, that is how often a sequence with it is ranked above one without, and the mean "
        "over the labels. 1 is perfect, 0.5 is guessing."
    ),
    "pearson_mean": (
        "Of tasks that ask for numbers: the correlation of predicted and measured values, and the "
        "mean over the targets. 1 is perfect, 0 is guessing, a constant guess too."
    ),
    "top_k_accuracy": (
        "Of tasks that ask about every base: of the k most probable bases of a class, k the number "
        "of its true ones, the share that are true, and the mean over the classes but 0. 1 is "
        "perfect, the share of such bases is guessing."
    ),
}
# What unrelated labels and predictions score, where that does not depend on the task.
CHANCE = {"mcc": 0.0, "auc_mean": 0.5, "pearson_mean": 0.0}


def name_of(metric: str) -> str:
    """Return what a metric is called on the page."""
    return NAMES.get(metric, metric)


def shared_name(metrics: pd.Series) -> str:
    """Return what a column of scores is called: by its metric, or `score` where they differ."""
    names = metrics.unique()
    return name_of(names[0]) if len(names) == 1 else "score" if len(names) else name_of("mcc")


def describe(metrics: pd.Series) -> dict[str, str]:
    """Return {name: explanation} of the metrics that tasks are compared by; MCC where none is."""
    return {
        name_of(m): WORDS[m] for m in WORDS if m in set(metrics) or (m == "mcc" and metrics.empty)
    }
