"""The settings of a fine-tuning and the files it works on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from dnalm.files import read_json, sha256_of
from dnalm.methods import ADAPTER_NAMES
from dnalm.model.heads import Pooling, choose_pooling
from dnalm.suggestions import check_choice

CHOICES = {
    "adapter": ADAPTER_NAMES,
    "head": ("linear",),
    "schedule": ("constant",),
    "keep": ("best", "last"),
}
IDENTITY_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How one fold is trained.

    `schedule` constant means `learning_rate`, after a linear rise over `warmup_steps`; `keep` best
    is the evaluation with the best validation score, the headline of the task's kind (ties: the
    earlier one), else the last; `adapter` is a name in `dnalm.methods`;
    `optimizer` holds Adam's beta1, beta2 and eps; `gradient_clip` may be None.
    """

    adapter: str
    steps: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    evaluate_every: int
    keep: str
    head: str
    optimizer: Mapping[str, float]
    gradient_clip: float | None
    seed: int

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            check_choice(f"finetune: {key}", getattr(self, key), allowed)


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """All that a process needs to train any fold: files by path, the rest by value.

    `run`, `weights` and `table` are the files of the model and of the task; `kind` and `classes`
    describe the task; `batch_tokens` bounds the batches of evaluations, where it changes nothing.
    """

    run: str
    weights: str
    table: str
    kind: str
    classes: int
    config: FinetuneConfig
    pooling: Pooling
    centre_bases: int
    batch_tokens: int

    @classmethod
    def of(
        cls,
        files: Mapping[str, str],
        summary: Mapping[str, Any],
        task: Mapping[str, Any],
        method: Mapping[str, Any],
        embed: Mapping[str, Any],
    ) -> "Finetuning":
        """Put together files (run, weights, table), a task's JSON and config, and two sections.

        `method` is an entry of `finetune.methods`, `embed` gives the pooling that the task's own
        config leaves open.
        """
        return cls(
            **{name: str(files[name]) for name in ("run", "weights", "table")},
            kind=summary["kind"],
            classes=summary["classes"],
            config=FinetuneConfig(**method),
            pooling=choose_pooling(task, embed["pooling"]),
            centre_bases=embed["centre_bases"],
            batch_tokens=embed["batch_tokens"],
        )

    def head(self) -> dict[str, Any]:
        """Return what it takes to build the classifier again."""
        return {
            "kind": self.kind,
            "classes": self.classes,
            "pooling": self.pooling,
            "centre_bases": self.centre_bases,
        }

    def identity(self) -> str:
        """Return a hash of everything that decides the result of a fold."""
        facts = {
            "run": read_json(self.run),
            "weights": sha256_of(self.weights),
            "table": sha256_of(self.table),
            "config": asdict(self.config),
            "task": [self.kind, self.classes, self.pooling, self.centre_bases],
        }
        text = json.dumps(facts, sort_keys=True)
        return sha256(text.encode()).hexdigest()[:IDENTITY_DIGITS]
