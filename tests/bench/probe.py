"""The logistic-regression grid of one layer beside scikit-learn's: same rows, splits and penalties.

    python tests/bench/probe.py --output results/bench/probe.json

Fits per second of processor time of one CPU thread, all that they need included: standardising each
split, fitting, and for ours the certificates. Ten splits of N = 12,000 rows with D = 1,280 features
at five penalties: features whose variances fall as a power; means of random vectors of 6-mers, as
layer 0 of an untrained encoder gives, over random sequences (nearly independent features, the
easiest for the peers) and, where $DNALM_DATA names the folder, over real splice sites. Ours runs
before and after every peer. A case counts only if, in the same run, every fit of ours is certified,
and on one split its objective lies within 1e-4 of scikit-learn's optimum (newton-cholesky, run to
the end) and its validation accuracy within 0.4 points, at every penalty. How far the peers' own
scores lie from ours stands on stderr: at their defaults not all of them converge.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from comparison import Comparison, read_arguments, report
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dnalm.benchmark.probing.linear.batched import Coefficients, fit_grid
from dnalm.genome.composition import kmer_counts

ROWS, WIDTH, SPLITS = 12_000, 1280, 10
PENALTIES = [1e-3, 1e-2, 1e-1, 1.0, 10.0]
TINY = {"ROWS": 600, "WIDTH": 40}
BASES, K = 300, 6
REAL = "tasks/splice_sites_acceptors/train.csv.gz"
DEFAULT_LIMIT, BEST_LIMIT = 15.0, 5.0
EASY_LIMIT = 3.0  # of features that a peer needs few steps for
MAX_GAP, MAX_POINTS = 1e-4, 0.4  # objective, and validation accuracy in percentage points


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Features [N, D], labels [N], and the split in which each row is validation."""

    features: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    def rows(self, split: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the training and the validation rows of a split."""
        return np.flatnonzero(self.split != split), np.flatnonzero(self.split == split)


def make_layer(features: np.ndarray, labels: np.ndarray) -> Layer:
    split = np.zeros(len(labels), dtype=int)
    folds = StratifiedKFold(SPLITS, shuffle=True, random_state=0).split(features, labels)
    for number, (_, others) in enumerate(folds):
        split[others] = number
    return Layer(features=features.astype(np.float32), labels=labels, split=split)


def make_powers(rows: int, width: int, classes: int) -> Layer:
    """Gaussian features, the i-th direction with an SD of i**-0.7; scales and means unlike."""
    generator = np.random.default_rng(0)
    latent = generator.normal(size=(rows, width))
    directions, _ = np.linalg.qr(generator.normal(size=(width, width)))
    order = 1 + np.arange(width)
    features = (latent * order**-0.7) @ directions
    features = features * np.exp(generator.normal(size=width)) + 3 * generator.normal(size=width)
    signal = generator.normal(size=(width, classes)) * (order**-0.3)[:, None]
    scores = latent @ signal
    scores = 2 * scores / scores.std(axis=0) + generator.gumbel(size=scores.shape)
    return make_layer(features, scores.argmax(axis=1))


def draw_sequences(rows: int) -> tuple[list[str], np.ndarray]:
    """Return sequences whose composition tells a little about their class, and the classes."""
    generator = np.random.default_rng(1)
    labels = np.arange(rows) % 2
    shares = np.array([[0.26, 0.24, 0.24, 0.26], [0.24, 0.26, 0.26, 0.24]])
    letters = list("ACGT")
    return ["".join(generator.choice(letters, BASES, p=shares[c])) for c in labels], labels


def read_sequences(path: Path, rows: int) -> tuple[list[str], np.ndarray]:
    table = pd.read_csv(path).sample(rows, random_state=0)
    return table["sequence"].tolist(), table["label"].to_numpy()


def make_words(sequences: list[str], labels: np.ndarray, width: int) -> Layer:
    """Means of random vectors of 6-mers."""
    vectors = np.random.default_rng(2).normal(size=(4**K, width)).astype(np.float32)
    counts = kmer_counts(sequences, K)
    return make_layer(counts @ vectors / counts.sum(axis=1, keepdims=True), labels)


def fit_ours(layer: Layer) -> Coefficients:
    trainings = [layer.rows(split)[0] for split in range(SPLITS)]
    return fit_grid(
        layer.features,
        layer.labels,
        trainings,
        PENALTIES,
        kind="multiclass",
        max_iterations=1000,
        device="cpu",
    )


def fit_one_by_one(layer: Layer, dtype: type) -> np.ndarray:
    """Return the predictions [P, N] for validation rows of scikit-learn's defaults."""
    predictions = np.zeros((len(PENALTIES), len(layer.labels)), dtype=int)
    features = layer.features.astype(dtype)
    for split in range(SPLITS):
        training, others = layer.rows(split)
        scaler = StandardScaler().fit(features[training])
        fitted, predicted = scaler.transform(features[training]), scaler.transform(features[others])
        for number, penalty in enumerate(PENALTIES):
            model = LogisticRegression(C=penalty).fit(fitted, layer.labels[training])
            predictions[number, others] = model.predict(predicted)
    return predictions


def fit_by_path(layer: Layer, dtype: type) -> np.ndarray:
    """Return the scores [S, P] of `LogisticRegressionCV`, whose features are standardised once.

    Each fit starts at the optimum of the penalty before.
    """
    features = StandardScaler().fit_transform(layer.features.astype(dtype))
    folds = PredefinedSplit(layer.split)
    model = LogisticRegressionCV(
        Cs=PENALTIES,
        l1_ratios=(0,),
        cv=folds,
        refit=False,
        scoring="accuracy",
        use_legacy_attributes=False,
    )
    model.fit(features, layer.labels)
    return model.scores_.reshape(SPLITS, len(PENALTIES))


def accuracies(layer: Layer, predictions: np.ndarray) -> np.ndarray:
    """Return [S, P] in points."""
    right = predictions == layer.labels
    return 100 * np.stack([right[:, layer.split == split].mean(axis=1) for split in range(SPLITS)])


def predict_ours(layer: Layer, fits: Coefficients) -> np.ndarray:
    predictions = np.zeros((len(PENALTIES), len(layer.labels)), dtype=int)
    for split in range(SPLITS):
        _, others = layer.rows(split)
        predictions[:, others] = fits.outputs(layer.features[others], split).argmax(axis=2)
    return predictions


def check(layer: Layer, fits: Coefficients, ours: np.ndarray) -> bool:
    """Return whether the fits are optimal: all by certificate, one split beside scikit-learn."""
    training, others = layer.rows(0)
    scaler = StandardScaler().fit(layer.features[training].astype(np.float64))
    values = scaler.transform(layer.features[training].astype(np.float64))
    predicted = scaler.transform(layer.features[others].astype(np.float64))
    truth, worst_gap, worst_points = layer.labels[training], 0.0, 0.0
    took = 0.0
    for number, penalty in enumerate(PENALTIES):
        model = LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-10, max_iter=1000)
        took += seconds(lambda model=model: model.fit(values, truth))[0]
        best = objective(values, truth, model.coef_, model.intercept_, penalty)
        weights = fits.weights[0, number] * scaler.scale_
        intercepts = fits.intercepts[0, number] + fits.weights[0, number] @ scaler.mean_
        found = objective(values, truth, weights, intercepts, penalty)
        worst_gap = max(worst_gap, abs(found / best - 1))
        points = 100 * np.mean(model.predict(predicted) == layer.labels[others])
        worst_points = max(worst_points, abs(points - ours[0, number]))
    sys.stderr.write(
        f"  beside scikit-learn's optimum: objective {worst_gap:.1e} of it away, validation "
        f"accuracy {worst_points:.2f} points; all certified: {bool(fits.certified.all())}, "
        f"gap at most {fits.gaps.max():.1e}, steps {fits.steps.mean(axis=0).round(1).tolist()}; "
        f"newton-cholesky took {took / len(PENALTIES):.2f} s a fit\n"
    )
    return bool(fits.certified.all() and worst_gap <= MAX_GAP and worst_points <= MAX_POINTS)


def objective(
    values: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    intercepts: np.ndarray,
    penalty: float,
) -> float:
    margins = values @ weights.T + intercepts
    if margins.shape[1] == 1:
        margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
    logs = np.logaddexp.reduce(margins, axis=1)
    return float(
        (logs - margins[np.arange(len(labels)), labels]).sum() + (weights**2).sum() / 2 / penalty
    )


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def compare(case: str, layer: Layer, peers: dict[str, tuple[Callable, float]]) -> list[Comparison]:
    sys.stderr.write(f"{case}\n")
    fits = fit_ours(layer)
    ours = accuracies(layer, predict_ours(layer, fits))
    correct = check(layer, fits, ours)
    count, rows = SPLITS * len(PENALTIES), []
    before, _ = seconds(lambda: fit_ours(layer))
    for name, (peer, limit) in peers.items():
        theirs, found = seconds(lambda peer=peer: peer(layer))
        after, _ = seconds(lambda: fit_ours(layer))
        scores = 100 * found if found.shape == ours.shape else accuracies(layer, found)
        sys.stderr.write(
            f"  {name}: {theirs:.1f} s, ours {before:.2f} and {after:.2f} s; validation accuracy "
            f"up to {np.abs(scores - ours).max():.2f} points apart\n"
        )
        rows.append(
            Comparison(
                case=f"{case}, {name}",
                ours=2 * count / (before + after),
                peer=count / theirs,
                unit="fits per CPU second",
                correct=correct,
                limit=limit,
            )
        )
        before = after
    return rows


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    peers = {
        "LogisticRegression": (lambda layer: fit_one_by_one(layer, np.float64), DEFAULT_LIMIT),
        "LogisticRegression in float32": (
            lambda layer: fit_one_by_one(layer, np.float32),
            BEST_LIMIT,
        ),
        "LogisticRegressionCV": (lambda layer: fit_by_path(layer, np.float64), BEST_LIMIT),
        "LogisticRegressionCV in float32": (
            lambda layer: fit_by_path(layer, np.float32),
            BEST_LIMIT,
        ),
    }
    easy = {name: (peer, EASY_LIMIT) for name, (peer, _) in peers.items()}
    with threadpool_limits(1):
        rows = compare("power-law spectrum", make_powers(ROWS, WIDTH, 2), peers)
        if data := os.getenv("DNALM_DATA"):
            real = make_words(*read_sequences(Path(data) / REAL, ROWS), WIDTH)
            rows += compare("layer 0 of real splice sites", real, peers)
        three = make_powers(ROWS // 2, WIDTH // 2, 3)
        rows += compare("three classes, half of N and D", three, peers)
        rows += compare("layer 0 of random bases", make_words(*draw_sequences(ROWS), WIDTH), easy)
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
