"""The evaluations of one fold: their history, the one that is kept, and when to stop."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from dnalm.benchmark.finetuning.settings import FinetuneConfig

FACTS = ("history", "step", "best", "waited")


class Evaluations:
    """Validation scores in the order of their steps, and the trained state of the kept one.

    Attributes:
        history: a row per evaluation: step, train_loss, validation_<metric>.
        step, tensors: of the kept evaluation; the last one, or the first of the best.
        exhausted: whether the last `patience` evaluations were no better than one before.
    """

    def __init__(self, config: FinetuneConfig, metric: str) -> None:
        self.config, self.metric = config, metric
        self.history: list[dict[str, Any]] = []
        self.step = 0
        self.tensors: dict[str, Tensor] = {}
        self.best, self.waited = -math.inf, 0

    def add(
        self, step: int, train_loss: float, score: float, state: Callable[[], dict[str, Tensor]]
    ) -> None:
        """Note an evaluation; `state` is called where it is the one to keep, so far."""
        first = not self.history
        self.history.append(
            {"step": step, "train_loss": train_loss, f"validation_{self.metric}": score}
        )
        # What cannot be scored (no label with both classes) is worse than any score.
        score = -math.inf if math.isnan(score) else score
        better = score > self.best
        self.best = max(self.best, score)
        self.waited = 0 if better or first else self.waited + 1
        if first or better or self.config.keep == "last":
            self.step, self.tensors = step, state()

    @property
    def exhausted(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.waited >= patience

    def facts(self) -> dict[str, Any]:
        """Return all but the tensors, as it is now and as JSON takes it."""
        return {name: getattr(self, name) for name in FACTS} | {"history": list(self.history)}

    def take_up(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from `facts` and the tensors of the kept evaluation."""
        for name in FACTS:
            setattr(self, name, facts[name])
        self.tensors = tensors
