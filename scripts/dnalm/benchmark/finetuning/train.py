"""Fine-tuning: what a method trains of an encoder, and a linear head, trained on each split.

All else stays frozen. Networks without pretraining are trained by the same loop.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import torch
from safetensors import SafetensorError
from torch.nn.utils import clip_grad_norm_

from dnalm.benchmark.finetuning.classifier import (
    NOTHING,
    Classifier,
    Fold,
    build_classifier,
    classifier_state,
    load_classifier_state,
    predict,
)
from dnalm.benchmark.finetuning.evaluations import Evaluations
from dnalm.benchmark.finetuning.fingerprints import Fingerprints
from dnalm.benchmark.finetuning.schedule import rate_at
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning
from dnalm.benchmark.scoring.metrics import headline, single_score
from dnalm.benchmark.scoring.objectives import Scale, loss_of, weigh_classes
from dnalm.benchmark.tasks.kinds import NUMBER, cut_to, find_kind
from dnalm.benchmark.tasks.splits import Split, Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.devices import best_device, send
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.jobs.partial import Format, Partial, hold
from dnalm.jobs.progress import Progress, Tally
from dnalm.methods import NETWORKS, find_function, warn_of_rate
from dnalm.model.adapters import add_adapter
from dnalm.model.convolutions import VOCABULARY, Network
from dnalm.model.encoder import Encoder
from dnalm.model.heads import BinExpectation, bin_values
from dnalm.model.loading import load_model
from dnalm.model.token_batches import TokenRows, name_rows

FOLD = Format(
    suffix=".safetensors",
    write=lambda path, fold: fold.save(path),
    read=Fold.load,
    torn=(OSError, ValueError, SafetensorError),
)
log = logging.getLogger(__name__)


def finetune(finetuning: Finetuning, *, partial: str | Path, threads: int) -> list[Fold]:
    """Train every fold of a task and return them, ascending.

    On a CPU `threads` folds are trained at a time, each by one process with one thread; a GPU
    trains one after the other. A finished fold lies in a folder of its own below `partial`, named
    by what decides the result, and is read from there the next time; what cannot be read, as after
    a power cut, is made again. Raises InputError when another job works on this task.
    """
    finetuning = finetuning.on(str(best_device()))
    config = finetuning.config
    if finetuning.network is None and (
        sentence := warn_of_rate("learning_rate", config.adapter, config.learning_rate)
    ):
        log.warning(sentence)
    with hold(partial) as lock:
        kept = Partial(partial, finetuning.facts(), FOLD)
        folds = Splits(read_task(finetuning.table), finetuning.kind).folds
        found = {fold: one for fold in folds if (one := kept.find(_name(fold)))}
        if found:
            log.info("%d of %d folds were finished before", len(found), len(folds))
        _train_all(finetuning, [fold for fold in folds if fold not in found], kept, threads)
        lock.check()
        return [found.get(fold) or kept.load(_name(fold)) for fold in folds]


def _name(fold: int) -> str:
    return f"fold-{fold:02d}"


def _train_all(finetuning: Finetuning, folds: Sequence[int], kept: Partial, threads: int) -> None:
    what, steps = f"train {len(folds)} folds", len(folds) * finetuning.config.steps
    with Progress(what, "steps", steps) as progress, progress.tally() as tally:
        # loky starts fresh interpreters that never import the calling script again.
        finished = joblib.Parallel(
            n_jobs=threads if best_device().type == "cpu" else 1,
            backend="loky",
            return_as="generator_unordered",
        )(joblib.delayed(_train_and_save)(finetuning, fold, kept, tally) for fold in folds)
        metric = headline(finetuning.kind)
        for fold, seconds, value in finished:
            log.info("fold %d: validation %s %.4f after %.1f s", fold, metric, value, seconds)


def _train_and_save(
    finetuning: Finetuning, fold: int, kept: Partial, tally: Tally
) -> tuple[int, float, float]:
    with _one_thread():
        trained = train_fold(finetuning, fold, tally.add)
    kept.write(_name(fold), trained)
    return fold, trained.seconds, trained.validation_score(headline(finetuning.kind))


def train_fold(
    finetuning: Finetuning, fold: int, tick: Callable[[], object] = lambda: None
) -> Fold:
    """Train one fold; choose the step on its validation rows, then score the test rows once.

    The result depends on `finetuning` and the fold alone, not on the process or its other folds.
    `tick` is called after every step. Raises InputError for a sequence longer than the context and
    for a loss that is not finite.
    """
    started = time.monotonic()
    config = finetuning.config
    table = read_task(finetuning.table)
    splits = Splits(table, finetuning.kind)
    split = splits[fold]
    numbers = find_kind(finetuning.kind).value == NUMBER
    scale = Scale.of(splits.labels[split.training]) if numbers else None
    labels = scale.standardise(splits.labels) if scale else splits.labels
    random = seed_fold(config, fold)
    encoder, vocabulary = _start(finetuning)
    sequences, _ = finetuning.crop(table["sequence"].tolist())
    rows = TokenRows(sequences, name_rows(table), vocabulary, encoder.config.max_tokens)
    adapter = add_adapter(encoder, config.adapter, config.options)
    classifier = build_classifier(encoder, vocabulary, finetuning.head()).to(best_device())
    if isinstance(classifier.output, BinExpectation):
        seen = labels[split.training]
        ends = (seen.min(axis=0), seen.max(axis=0))
        classifier.output.set_values(bin_values(*ends, **config.bins))
    before = Fingerprints.of(classifier.encoder)
    learned = [*adapter, *classifier.output.parameters()]
    optimizer = torch.optim.Adam(
        learned,
        lr=config.learning_rate,
        betas=(config.optimizer["beta1"], config.optimizer["beta2"]),
        eps=config.optimizer["eps"],
    )
    weights = weigh_classes(
        config.class_weights, splits.labels[split.training], finetuning.kind, finetuning.classes
    )
    weights = None if weights is None else weights.to(best_device())

    evaluations = Evaluations(config, headline(finetuning.kind))
    losses: list[torch.Tensor] = []
    batches = rows.shuffled(split.training, config.batch_size, random)
    for step in range(1, config.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(
                step,
                config.steps,
                peak=config.learning_rate,
                warmup_steps=config.warmup_steps,
                schedule=config.schedule,
            )
        loss = _loss(classifier, rows, next(batches), labels, finetuning, weights)
        optimizer.zero_grad()
        loss.backward()
        if config.gradient_clip is not None:
            clip_grad_norm_(learned, config.gradient_clip)
        optimizer.step()
        # Read with the others at the next evaluation: the host has no need to wait at every step.
        losses.append(loss.detach())
        tick()
        if step % config.evaluate_every == 0 or step == config.steps:
            taken = _read_losses(losses, finetuning, fold, step)
            score = _validate(classifier, rows, split, labels, finetuning)
            evaluations.add(
                step, float(np.mean(taken)), score, lambda: classifier_state(classifier)
            )
            losses.clear()
            if evaluations.exhausted:
                for _ in range(step, config.steps):
                    tick()  # the bar counts steps that need not be made, too
                break

    load_classifier_state(classifier, evaluations.tensors)
    before.check(classifier.encoder, f"fold {fold}")
    outputs = predict(
        classifier, rows, splits.test, finetuning.batch_tokens, finetuning.kind, scale
    )
    saved = evaluations.tensors | (scale.state() if scale else {})
    return Fold(
        fold=fold,
        tensors={} if config.save == NOTHING else saved,
        outputs=outputs,
        history=evaluations.history,
        step=evaluations.step,
        seconds=round(time.monotonic() - started, 3),
        trained=sum(values.numel() for values in learned),
        parameters=sum(values.numel() for values in classifier.parameters()),
    )


def _start(finetuning: Finetuning) -> tuple[Encoder | Network, Vocabulary]:
    """Return what is trained, in evaluation mode, and the vocabulary that it reads."""
    if finetuning.network is None:
        return load_model(finetuning.run, finetuning.weights)
    settings = dict(finetuning.network)
    build = find_function(NETWORKS[settings.pop("name")].network)
    return build(**settings).eval(), VOCABULARY


def seed_fold(config: FinetuneConfig, fold: int) -> np.random.Generator:
    """Return the generator that deals a fold's batches; seed that of torch, which draws its head.

    Both depend on `config.seed` and the fold alone.
    """
    random = np.random.default_rng([config.seed, fold])
    torch.manual_seed(int(random.integers(2**31)))
    return random


def _read_losses(
    losses: Sequence[torch.Tensor], finetuning: Finetuning, fold: int, step: int
) -> list[float]:
    """Return the losses of the steps up to `step`; raise InputError where one is not finite."""
    taken = torch.stack(list(losses)).tolist()
    for number, loss in enumerate(taken, start=step - len(taken) + 1):
        if not math.isfinite(loss):
            raise InputError(
                f"{finetuning.table}: the loss of fold {fold} is {loss} at step {number}: "
                "lower finetune's learning_rate or set its gradient_clip."
            )
    return taken


def _loss(
    classifier: Classifier,
    rows: TokenRows,
    batch: np.ndarray,
    labels: np.ndarray,
    finetuning: Finetuning,
    weights: torch.Tensor | None,
) -> torch.Tensor:
    classifier.train()
    device = classifier.output.weight.device
    tokens, padded = rows.batch(batch)
    with torch.autocast(device.type, torch.bfloat16, enabled=finetuning.config.precision == "bf16"):
        longest = rows.count_bases(batch)
        logits = classifier(send(tokens, device), padded=padded, longest=longest)
    return loss_of(logits.float(), labels[batch], finetuning.kind, weights)


def _validate(
    classifier: Classifier,
    rows: TokenRows,
    split: Split,
    labels: np.ndarray,
    finetuning: Finetuning,
) -> float:
    """Return the headline of the kind; that of a regression does not depend on the scale."""
    kind = find_kind(finetuning.kind)
    outputs = predict(classifier, rows, split.validation, finetuning.batch_tokens, kind.name, None)
    truth = cut_to(outputs, labels[split.validation], kind)
    return single_score(kind.headline, truth, kind.decide(outputs), outputs, kind.name)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: folds run side by side, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
