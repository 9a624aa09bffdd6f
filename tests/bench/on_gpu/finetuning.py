"""IA3 fine-tuning of one fold and of ten together, and by `peft`.

The same weights, rows, batches and first heads. float32 and bf16: steps by autocast, trained
numbers in float32 on both sides. A side counts only if the mean loss of the first fold is that of
ours in float32.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from dnalm.benchmark.finetuning.fold_run import FoldRun
from dnalm.benchmark.finetuning.learner import Learner, SingleLearner, rounded
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.stack import StackedLearner
from dnalm.devices import send
from dnalm.model.loading import load_model
from on_gpu.machine import Machine, find_absent, say
from on_gpu.models import describe_run, draw_encoder, find_encoder, read_config
from on_gpu.results import Row
from on_gpu.trainer import find_room

BASES, TINY_BASES = 600, 60  # of every row: the paper's tasks have rows of one length
ROWS = {"training": 800, "validation": 640, "test": 32}
STEPS, TINY_STEPS = 60, 6
UNTIMED = 20  # of the steps
FOLDS = 10
ENOUGH_MEMORY = 8e9  # bytes free in the memory's own file system, to keep the weights there
# Of the mean loss: sums in another order, and Adam on top; and numbers of 8 bits.
TOLERANCES = {"float32": 1e-2, "bf16": 5e-2}


def measure(machine: Machine, model: str) -> Iterator[Row]:
    """Yield rows of ours, one fold and ten, and of the peer's."""
    with tempfile.TemporaryDirectory(prefix="finetuning-", dir=find_room(ENOUGH_MEMORY)) as name:
        exact, rough = _prepare(machine, model, Path(name))
        one, ten = [0], list(range(FOLDS))
        sides = [
            ("ours, one fold, float32", exact, one),
            ("ours, one fold, bf16", rough, one),
            (f"ours, {FOLDS} folds together, bf16", rough, ten),
        ]
        expected, speeds = 0.0, {}
        for side, finetuning, folds in sides:
            say(f"{model}: {finetuning.config.steps} steps of IA3, {side}")
            machine.tidy()
            machine.reset_peak()
            learner = (SingleLearner if folds == one else StackedLearner)(finetuning)
            if folds == ten:
                learner.fit(ten)
            seconds, loss = _train(machine, learner, folds)
            expected = expected or loss
            rate, alone = len(folds) / seconds, speeds.get(side.split(",")[-1])
            speeds.setdefault(side.split(",")[-1], rate)
            precision = finetuning.config.precision
            yield _row(
                machine,
                model,
                side,
                rate,
                _agree(loss, expected, precision),
                ratio=alone and alone / rate,
                finetuning=finetuning,
                facts=_time_validation(machine, learner, folds) | {"loss": loss},
            )
            del learner
        for precision, finetuning in (("float32", exact), ("bf16", rough)):
            side = f"peft IA3, EsmForSequenceClassification, {precision}"
            if absent := find_absent("transformers", "peft"):
                unit = "folds' steps/s"
                yield Row(
                    part="finetuning", model=model, side=side, value=None, unit=unit, note=absent
                )
                continue
            machine.tidy()
            say(f"{model}: the same by {side}")
            machine.reset_peak()
            seconds, loss = _train_peer(machine, finetuning)
            yield _row(
                machine,
                model,
                side,
                1 / seconds,
                _agree(loss, expected, precision),
                ratio=seconds * speeds[f" {precision}"],
                finetuning=finetuning,
                facts={"loss": loss},
            )


def _row(
    machine: Machine,
    model: str,
    side: str,
    value: float,
    agreement: tuple[bool, str],
    *,
    ratio: float | None,
    finetuning: Finetuning,
    facts: dict[str, Any],
) -> Row:
    agrees, check = agreement
    tokens = 1 + (TINY_BASES if machine.tiny else BASES) // 6
    batch = finetuning.config.batch_size
    return Row(
        part="finetuning",
        model=model,
        side=side,
        value=value,
        unit="folds' steps/s",
        sequences=batch,
        tokens=tokens,
        ratio=ratio,
        gigabytes=machine.peak_gigabytes(),
        agrees=agrees,
        check=check,
        facts=facts | {"tokens_per_second": value * batch * tokens},
    )


def _agree(loss: float, expected: float, precision: str) -> tuple[bool, str]:
    """Return whether a mean loss is the expected one, and the words for it."""
    distance = abs(loss - expected) / expected
    return distance <= TOLERANCES[precision], f"mean loss of the first fold to {distance:.1e}"


class Clock:
    """Seconds of a step, without those that warm up; the device has ended when it is read."""

    def __init__(self, machine: Machine, steps: int) -> None:
        self._machine, self._steps, self._done = machine, steps, 0
        self._untimed = min(UNTIMED, steps // 2)
        self._begun = self.seconds = 0.0

    def tick(self) -> None:
        self._done += 1
        if self._done == self._untimed:
            self._machine.wait()
            self._begun = time.perf_counter()
        if self._done == self._steps:
            self._machine.wait()
            self.seconds = (time.perf_counter() - self._begun) / (self._steps - self._untimed)


def _prepare(machine: Machine, model: str, folder: Path) -> tuple[Finetuning, Finetuning]:
    """Write weights and a table with a planted class; return few steps in float32 and in bf16."""
    from peft_peer import plant, write_finetuning

    encoder = draw_encoder(find_encoder(model), machine.device)
    table = plant(TINY_BASES if machine.tiny else BASES, ROWS, FOLDS)
    steps = TINY_STEPS if machine.tiny else STEPS
    exact, rough = (
        write_finetuning(
            folder,
            describe_run(model),
            encoder,
            table,
            read_config(),
            "ia3",
            steps=steps,
            evaluate_every=steps,
            precision=precision,
        )
        for precision in ("float32", "bf16")
    )
    del encoder
    machine.tidy()
    return exact, rough


def _train(machine: Machine, learner: Learner, folds: Sequence[int]) -> tuple[float, float]:
    """Return the seconds of a step of all folds, and the mean loss of the first."""
    learner.begin(folds, {})
    runs = [FoldRun(learner.data, fold) for fold in folds]
    steps, losses = runs[0].config.steps, []
    clock = Clock(machine, steps)
    for step in range(1, steps + 1):
        batches = [run.deal() for run in runs]
        losses.append(learner.update(batches, step, runs[0].rate)[0])
        clock.tick()
    return clock.seconds, float(torch.stack(losses).mean())


def _time_validation(machine: Machine, learner: Learner, folds: Sequence[int]) -> dict[str, float]:
    """Return how many validation rows of the folds a second takes."""
    rows = [learner.data.fold(fold).split.validation for fold in folds]
    learner.validate(rows)
    machine.wait()
    begun = time.perf_counter()
    learner.validate(rows)
    machine.wait()
    return {"validation_rows_per_second": sum(map(len, rows)) / (time.perf_counter() - begun)}


def _train_peer(machine: Machine, finetuning: Finetuning) -> tuple[float, float]:
    """Return the seconds of a step and the mean loss, on the very batches of the library's fold."""
    from peft_peer import PeftStep, make_peft

    settings = finetuning.config
    learner = SingleLearner(finetuning)
    learner.begin([0], {})
    run, trained = FoldRun(learner.data, 0), learner.kept(0)
    data, labels = learner.data, learner.data.splits.labels
    del learner
    encoder, _ = load_model(finetuning.run, finetuning.weights)
    peer = make_peft(encoder.config, encoder.state_dict(), trained, settings, machine.device)
    del encoder
    step, losses = PeftStep(peer, settings), []
    clock = Clock(machine, settings.steps)
    for _ in range(settings.steps):
        chosen = run.deal()
        tokens = send(data.rows.batch(chosen)[0], machine.device)
        given = send(torch.from_numpy(labels[chosen]), machine.device)
        losses.append(step(tokens, given, rounded(settings, machine.device)))
        clock.tick()
    return clock.seconds, float(torch.stack(losses).mean())
