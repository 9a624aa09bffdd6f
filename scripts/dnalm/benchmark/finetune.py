"""Fine-tuning: IA3 vectors and a linear head per split, the encoder frozen.

Shapes: B batch, R rows, C classes.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from dnalm.benchmark.finetuned import (
    Fold,
    classifier_state,
    load_classifier_state,
    predict,
)
from dnalm.benchmark.finetuning import Finetuning
from dnalm.benchmark.metrics import single_score
from dnalm.benchmark.models import best_device, load_model
from dnalm.benchmark.splits import Split, Splits
from dnalm.benchmark.tasks import read_task
from dnalm.benchmark.tokens import TokenRows, name_rows
from dnalm.errors import InputError
from dnalm.model.adapters import add_ia3
from dnalm.model.heads import PooledClassifier

log = logging.getLogger(__name__)


def finetune(
    finetuning: Finetuning, *, part: int, parts: int, partial: str | Path, threads: int
) -> list[Fold]:
    """Train folds `part`, `part` + `parts`, ... and return them, ascending.

    On a CPU `threads` folds are trained at a time, each by one process with one thread; a GPU
    trains one after the other. A finished fold lies in a folder of its own below `partial`, named
    by what decides the result, and is read from there the next time.
    """
    folder = Path(partial) / finetuning.identity()
    folds = Splits(read_task(finetuning.table)).folds[part::parts]
    paths = {fold: folder / f"fold-{fold:02d}.safetensors" for fold in folds}
    missing = [fold for fold, path in paths.items() if not path.exists()]
    if len(missing) < len(folds):
        log.info("%d of %d folds were finished before", len(folds) - len(missing), len(folds))
    # loky starts fresh interpreters that never import the calling script again.
    finished = joblib.Parallel(
        n_jobs=threads if best_device().type == "cpu" else 1,
        backend="loky",
        return_as="generator_unordered",
    )(joblib.delayed(_train_and_save)(finetuning, fold, paths[fold]) for fold in missing)
    for fold, seconds, mcc in tqdm(finished, total=len(missing), unit="fold", disable=None):
        log.info("fold %d: validation MCC %.4f after %.1f s", fold, mcc, seconds)
    return [Fold.load(path) for path in paths.values()]


def _train_and_save(finetuning: Finetuning, fold: int, path: Path) -> tuple[int, float, float]:
    with _one_thread():
        trained = train_fold(finetuning, fold)
    trained.save(path)
    kept = next(row for row in trained.history if row["step"] == trained.step)
    return fold, trained.seconds, kept["validation_mcc"]


def train_fold(finetuning: Finetuning, fold: int) -> Fold:
    """Train one fold; choose the step on its validation rows, then score the test rows once.

    The result depends on `finetuning` and the fold alone, not on the process or its other folds.
    Raises InputError for a sequence longer than the context and for a loss that is not finite.
    """
    started = time.monotonic()
    config = finetuning.config
    table = read_task(finetuning.table)
    splits = Splits(table)
    split = splits[fold]
    encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
    rows = TokenRows(
        table["sequence"].tolist(), name_rows(table), vocabulary, encoder.config.max_tokens
    )
    random = np.random.default_rng([config.seed, fold])
    torch.manual_seed(int(random.integers(2**31)))
    vectors = add_ia3(encoder)
    classifier = PooledClassifier(
        encoder, finetuning.classes, finetuning.pooling, vocabulary, finetuning.centre_bases
    ).to(best_device())
    learned = [*vectors, *classifier.output.parameters()]
    optimizer = torch.optim.Adam(
        learned,
        lr=config.learning_rate,
        betas=(config.optimizer["beta1"], config.optimizer["beta2"]),
        eps=config.optimizer["eps"],
    )

    history: list[dict[str, Any]] = []
    kept: tuple[float, int, dict[str, torch.Tensor]] | None = None
    losses = []
    batches = rows.shuffled(split.training, config.batch_size, random)
    for step in range(1, config.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
        loss = _loss(classifier, rows, next(batches), splits.labels)
        if not torch.isfinite(loss):
            raise InputError(
                f"{finetuning.table}: the loss of fold {fold} is {loss.item()} at step {step}: "
                "lower finetune's learning_rate or set its gradient_clip."
            )
        optimizer.zero_grad()
        loss.backward()
        if config.gradient_clip is not None:
            clip_grad_norm_(learned, config.gradient_clip)
        optimizer.step()
        losses.append(loss.item())
        if step % config.evaluate_every == 0 or step == config.steps:
            mcc = _validate(classifier, rows, split, splits.labels, finetuning)
            history.append(
                {"step": step, "train_loss": float(np.mean(losses)), "validation_mcc": mcc}
            )
            losses.clear()
            if kept is None or config.keep == "last" or mcc > kept[0]:
                kept = mcc, step, classifier_state(classifier)

    _, step, tensors = kept
    load_classifier_state(classifier, tensors)
    return Fold(
        fold=fold,
        tensors=tensors,
        probabilities=predict(classifier, rows, splits.test, finetuning.batch_tokens),
        history=history,
        step=step,
        seconds=round(time.monotonic() - started, 3),
    )


def _loss(
    classifier: PooledClassifier, rows: TokenRows, batch: np.ndarray, labels: np.ndarray
) -> torch.Tensor:
    classifier.train()
    device = classifier.output.weight.device
    tokens, _ = rows.batch(batch)
    return cross_entropy(classifier(tokens.to(device)), torch.from_numpy(labels[batch]).to(device))


def _validate(
    classifier: PooledClassifier,
    rows: TokenRows,
    split: Split,
    labels: np.ndarray,
    finetuning: Finetuning,
) -> float:
    probabilities = predict(classifier, rows, split.validation, finetuning.batch_tokens)
    return single_score(
        "mcc",
        labels[split.validation],
        probabilities.argmax(axis=1),
        probabilities,
        finetuning.kind,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: folds run side by side, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
