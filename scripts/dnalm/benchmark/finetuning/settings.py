"""The settings of a fine-tuning and the files it works on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.benchmark.finetuning.schedule import SCHEDULES
from dnalm.benchmark.tasks.kinds import NUMBER, find_kind
from dnalm.devices import find_precision
from dnalm.errors import InputError
from dnalm.files import hash_facts, read_facts, read_json, sha256_of
from dnalm.methods import ADAPTER_NAMES, FULL
from dnalm.model.embedders.tunable import ForeignLimits, ForeignTokens
from dnalm.model.heads import Pooling, choose_pooling
from dnalm.model.loading import read_run
from dnalm.model.token_batches import REFUSE, Limits, crop_long
from dnalm.suggestions import check_choice

LINEAR, BINS = "linear", "bins"  # heads
CHOICES = (
    ("adapter", ADAPTER_NAMES),
    ("head", (LINEAR, BINS)),
    ("schedule", tuple(SCHEDULES)),
    ("keep", ("best", "last")),
    ("precision", ("auto", "float32", "bf16")),
    ("save", ("trained", "scores")),
)
DIGITS = 16
EDGES = ("centres", "points")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How one fold is trained.

    `adapter` is a name in `dnalm.methods`, `options` are what its row asks for. The learning rate
    rises linearly to `learning_rate` over `warmup_steps`, and then follows `schedule`
    (`dnalm.benchmark.finetuning.schedule`). `keep` best is the evaluation with the best validation
    score, the headline of the task's kind (ties: the earlier one), else the last; training ends
    after `patience` evaluations without a better one, with None never.
    With the `head` bins each target of a regression is the expectation over `bins["number"]` values
    between the least and the largest of the training rows (`bins["edges"]`: centres or points).
    `class_weights` balanced lets all classes count alike in the loss; with a number a 1 of a label
    counts so many times a 0. With `precision` bf16 steps and evaluations are computed in bfloat16
    (auto: where the GPU has it, `dnalm.devices.find_precision`), test scores and predictions always
    in float32. `save` trained keeps what was trained, scores none of it. `optimizer` holds Adam's
    beta1, beta2 and eps; `gradient_clip` may be None.
    """

    adapter: str
    options: Mapping[str, Any]
    steps: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    evaluate_every: int
    keep: str
    patience: int | None
    head: str
    bins: Mapping[str, Any]
    class_weights: str | float
    precision: str
    optimizer: Mapping[str, float]
    gradient_clip: float | None
    save: str
    seed: int

    def __post_init__(self) -> None:
        weights = self.class_weights
        if isinstance(weights, str | bool) or weights <= 0:
            check_choice("finetune: class_weights", weights, ("none", "balanced"))
        for key, allowed in CHOICES:
            check_choice(f"finetune: {key}", getattr(self, key), allowed)
        check_choice("finetune: bins.edges", self.bins["edges"], EDGES)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What decides how long a fine-tuning takes, and nothing of its result beyond rounding.

    `folds_together`: whether the folds of a task share an encoder, which adapters and heads allow;
    auto: on a GPU. `micro_batch` rows of each fold are computed at a time; None: of folds together
    as many as memory has room for, of one by itself all of a batch. Their state is kept every
    `checkpoint_minutes`, None: only where folds end apart. A job without a GPU that is predicted to
    take more than `cpu_hours_limit` ends, None: none does.
    Where all of an encoder is trained, it lies in shards on `gpus` GPUs of one machine, if that is
    more than one; without a GPU as many processes share the CPU.
    """

    folds_together: bool | str
    micro_batch: int | None
    checkpoint_minutes: float | None
    cpu_hours_limit: float | None
    gpus: int = 1

    @classmethod
    def of(cls, values: Mapping[str, Any], model: str | None) -> "Operation":
        """Return the section `operation` for one model, None for a network from scratch."""
        gpus = values["gpus"]
        number = gpus.get(model, 1) if isinstance(gpus, Mapping) else gpus
        return cls(**{**values, "gpus": number})


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """All that a process needs to train any fold: files by path, the rest by value.

    `run` and `weights` are the files of a model, None of a network that is trained from scratch;
    `network` is then its name in `dnalm.methods` with its settings. Of a model that is not ours
    `embedder` is {entry, described}, how it is opened and the file of what it is. `table` is the
    task's; `kind` and `classes` describe the task; `batch_tokens` bounds the batches of
    evaluations, where it changes nothing. With `too_long` centre the middle is read of sequences
    beyond the context, but where every base has a label.
    """

    run: str | None
    weights: str | None
    network: Mapping[str, Any] | None
    embedder: Mapping[str, Any] | None = None
    table: str
    kind: str
    classes: int
    config: FinetuneConfig
    pooling: Pooling
    centre_bases: int
    too_long: str
    batch_tokens: int

    @classmethod
    def of(
        cls,
        files: Mapping[str, Any],
        summary: Mapping[str, Any],
        task: Mapping[str, Any],
        method: Mapping[str, Any],
        embed: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
    ) -> "Finetuning":
        """Put together files (run, weights, table), a task's JSON and config, and two sections.

        `method` is an entry of `finetune.methods`, `embed` gives the pooling that the task's own
        config leaves open. Of an embedder, with its `entry`, the files are described and table.
        """
        own = {} if entry else {name: str(files[name]) for name in ("run", "weights")}
        embedder = {"entry": entry, "described": str(files["described"])} if entry else None
        return cls(
            **{"run": None, "weights": None, **own},
            network=None,
            embedder=embedder,
            table=str(files["table"]),
            kind=summary["kind"],
            classes=summary["classes"],
            config=FinetuneConfig(**method),
            pooling=choose_pooling(task, embed["pooling"]),
            centre_bases=embed["centre_bases"],
            too_long=embed["too_long"] if find_kind(summary["kind"]).pooled else REFUSE,
            batch_tokens=embed["batch_tokens"],
        )

    @classmethod
    def of_network(
        cls,
        name: str,
        table: str | Path,
        summary: Mapping[str, Any],
        settings: Mapping[str, Any],
        embed: Mapping[str, Any],
    ) -> "Finetuning":
        """Put together the training of a baseline that is a network.

        `settings` are its section of `baselines`, with `network` among the keys of a fine-tuning
        method. All of it is trained; sequences are pooled by the mean.
        """
        training = {key: value for key, value in settings.items() if key != "network"}
        fixed = {"adapter": FULL.name, "options": {}}
        return cls(
            run=None,
            weights=None,
            network={"name": name, **settings["network"]},
            table=str(table),
            kind=summary["kind"],
            classes=summary["classes"],
            config=FinetuneConfig(**{**training, **fixed}),
            pooling="mean",
            centre_bases=embed["centre_bases"],
            too_long=REFUSE,
            batch_tokens=embed["batch_tokens"],
        )

    @property
    def metric(self) -> str:
        """The validation score by which the step is chosen."""
        return find_kind(self.kind).headline

    @property
    def joinable(self) -> bool:
        """Whether the heads of folds can be one: each is a linear layer on what is pooled."""
        return self.network is None and self.config.head == LINEAR

    def crop(
        self, sequences: Sequence[str], tokens: ForeignTokens | None = None
    ) -> tuple[list[str], np.ndarray]:
        """Return what is read of sequences, and of which it is a part, as `crop_long` does.

        `tokens` are those of its embedder where that is open already.
        """
        # A network reads any length; an embedder is opened for nothing where nothing is cropped.
        if self.network or (self.embedder and self.too_long == REFUSE):
            return list(sequences), np.zeros(len(sequences), dtype=bool)
        if self.embedder:
            limits: Limits = ForeignLimits.of(tokens or ForeignTokens.open(self.embedder["entry"]))
        else:
            encoder, vocabulary = read_run(self.run)
            limits = Limits(vocabulary=vocabulary, max_tokens=encoder.max_tokens)
        return crop_long(sequences, limits, self.too_long)

    def on(self, device: str) -> "Finetuning":
        """Return the same with the precision that `device` computes in; InputError if it cannot."""
        precision = find_precision(self.config.precision, "precision of fine-tuning", [device])
        return replace(self, config=replace(self.config, precision=precision))

    def head(self) -> dict[str, Any]:
        """Return what it takes to build the classifier again; InputError for bins of no numbers."""
        facts = {
            "kind": self.kind,
            "classes": self.classes,
            "pooling": self.pooling,
            "centre_bases": self.centre_bases,
        }
        if self.config.head == LINEAR:
            return facts
        if find_kind(self.kind).value != NUMBER:
            raise InputError(
                f"The head is bins, whose expectation is a number, but the task is {self.kind}: "
                "set it to linear for this task."
            )
        return facts | {"bins": self.config.bins["number"]}

    def facts(self) -> dict[str, Any]:
        """Return everything that decides the result of a fold."""
        source = {"network": self.network}
        if self.embedder is not None:
            source = {"embedder": self.embedder["entry"], "weights": self.weights_sha256()}
        elif self.network is None:
            source = {"run": read_json(self.run), "weights": sha256_of(self.weights)}
        return source | {
            "table": sha256_of(self.table),
            "config": asdict(self.config),
            "task": [self.kind, self.classes, self.pooling, self.centre_bases]
            + ([] if self.too_long == REFUSE else [self.too_long]),
        }

    def weights_sha256(self) -> str:
        """Return the hash of the weights of the model; a network has none."""
        if self.embedder is not None:
            return read_facts(self.embedder["described"], ("weights_sha256",))["weights_sha256"]
        return sha256_of(self.weights)

    def identity(self) -> str:
        """Return a hash of `facts`."""
        return hash_facts(self.facts(), DIGITS)
