"""Settings of a training run: run.json decides its result, operation.json how it is run."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_facts
from dnalm.jobs.fields import build
from dnalm.training.masking import MaskingConfig
from dnalm.training.schedule import ScheduleConfig

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam; `weight_decay` is decoupled from the gradient (AdamW), the same as Adam at 0."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """The pretraining settings that decide the weights, besides encoder and corpus.

    `batch_sequences` windows make one step. Training ends after `steps`, or, when that is None,
    after the first step with which `tokens` are reached. `gradient_clip` bounds the norm of the
    gradient of the mean loss; None for no bound. A window with fewer than `min_kmers` k-mers
    counts for nothing, nor does one of whose bases more than `max_n_share` are N (None: no bound).
    `precision` auto is settled by the GPUs that train
    (`dnalm.devices.find_precision`), for evaluations alike. `residual` is the precision in which
    hidden states are kept and added between blocks; bf16 takes a `precision` of bf16.
    """

    masking: MaskingConfig
    batch_sequences: int
    tokens: int
    steps: int | None
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    gradient_clip: float | None
    precision: Literal["auto", "float32", "bf16"]
    residual: Literal["float32", "bf16"]
    seed: int
    min_kmers: int
    max_n_share: float | None

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "float32", "bf16"):
            raise InputError(
                f"pretrain.precision is {self.precision!r}; give 'auto', 'float32' or 'bf16'."
            )
        if self.residual not in ("float32", "bf16"):
            raise InputError(f"pretrain.residual is {self.residual!r}; give 'float32' or 'bf16'.")
        if self.residual == "bf16" and self.precision == "float32":
            raise InputError(
                "pretrain.residual is 'bf16', but pretrain.precision is float32 here: hidden "
                "states would be rounded and nothing gained; change one of them."
            )
        if self.batch_sequences < 1:
            raise InputError(
                f"pretrain.batch_sequences is {self.batch_sequences}; give 1 or more sequences."
            )

    def count_steps(self, window_tokens: int) -> int:
        """Return the number of steps for windows of `window_tokens` tokens with `<cls>`."""
        if self.steps is not None:
            return self.steps
        return math.ceil(self.tokens / (self.batch_sequences * window_tokens))


@dataclass(frozen=True, kw_only=True)
class Run:
    """All that decides the weights of one model; the content of run.json.

    `encoder` holds the fields of `EncoderConfig`. Training starts from the weights in the file
    `initial_weights`, or from a seeded draw when that is None.
    """

    model: str
    encoder: dict[str, Any]
    corpus: str | None
    k: int
    vocabulary: Literal["v1", "v2"]
    initial_weights: str | None
    pretrain: PretrainConfig

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the run that nested dictionaries describe; `InputError` names a wrong key."""
        pretrain = build(
            PretrainConfig,
            _with_options(values.get("pretrain", {})),
            "pretrain",
            masking=MaskingConfig,
            optimizer=OptimizerConfig,
            schedule=ScheduleConfig,
        )
        return build(cls, {**values, "pretrain": pretrain}, "run")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the run of a run.json."""
        return _named(path, cls.from_dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """How a run is carried out; none of it changes what is learned, up to rounding.

    One exception: dropout above 0 is drawn anew for every pass, so that another number of
    processes or another `micro_batch` draws another run.

    `processes` is a number or `auto` (one per visible GPU, at least one), `micro_batch` the most
    sequences of one forward pass (`auto`: as many as the memory of a GPU holds), `threads` those
    of the arithmetic and `workers` those that make batches ahead (0 for none), per process.
    `sharding` full cuts the weights into one shard per process, hybrid into one per process of a
    node, with a copy on each node, none keeps them whole, auto shards in full where they do not
    fit; `reshard` false keeps gathered weights until the update, true gives them up after each
    pass, auto keeps them where they fit; `activation_checkpointing` makes a backward pass compute
    its block again instead of keeping all of it, auto where nothing else fits.
    `reduce_in_backward` sums the gradients of whole copies over processes block by block while the
    last backward pass of a step goes on; those of shards always are. `compile` compiles
    each block. Cadences count steps, but a checkpoint is also made when the last one is older than
    `checkpoint_minutes`; the newest `keep_last` checkpoints stay. With a `scratch` folder the
    genomes are read from a copy there. The trainer saves and stops by itself before
    `runtime_minutes` are over.
    """

    processes: int | Literal["auto"]
    micro_batch: int | Literal["auto"]
    threads: int
    workers: int
    compile: bool
    sharding: Literal["auto", "none", "full", "hybrid"]
    reshard: Literal["auto"] | bool
    activation_checkpointing: Literal["auto"] | bool
    reduce_in_backward: bool
    log_every: int
    validate_every: int
    checkpoint_every: int
    checkpoint_minutes: float | None
    keep_last: int
    tensorboard: bool
    scratch: str | None
    runtime_minutes: float | None

    def __post_init__(self) -> None:
        for key in ("threads", "log_every", "validate_every", "checkpoint_every", "keep_last"):
            if getattr(self, key) < 1:
                raise InputError(f"operation.{key} is {getattr(self, key)}; give 1 or more.")
        for key in ("processes", "micro_batch"):
            value = getattr(self, key)
            if value != "auto" and int(value) < 1:
                raise InputError(f"operation.{key} is {value}; give 1 or more or 'auto'.")
        if self.sharding not in ("auto", "none", "full", "hybrid"):
            raise InputError(
                f"operation.sharding is {self.sharding!r}; give 'auto', 'none', 'full' or 'hybrid'."
            )
        for key in ("reshard", "activation_checkpointing"):
            if getattr(self, key) not in ("auto", True, False):
                raise InputError(
                    f"operation.{key} is {getattr(self, key)!r}; give 'auto', true or false."
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the operation that a dictionary describes; `InputError` names a wrong key."""
        return build(cls, values, "operation")

    @classmethod
    def read(cls, source: str | Path) -> Self:
        """Return the operation of an operation.json, or of its text, which begins with a brace."""
        if isinstance(source, str) and source.startswith("{"):
            return cls.from_dict(json.loads(source))
        return _named(source, cls.from_dict)


def _named(path: str | Path, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what is made of a settings file; an InputError names the file."""
    facts = read_facts(path, ())
    try:
        return read(facts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _with_options(pretrain: Any) -> Any:
    """Return settings of pretraining with what stands in run.json only where it is asked for.

    A model that was trained before there was such a key goes on with the same fingerprint.
    """
    absent = {"max_n_share": None, "residual": "float32"}
    return {**absent, **pretrain} if isinstance(pretrain, Mapping) else pretrain


def find_weightless(pretrain: PretrainConfig, tokens: int) -> str | None:
    """Return why windows of `tokens` tokens with `<cls>` teach nothing, None if they can."""
    if tokens - 1 < pretrain.min_kmers:
        return (
            f"windows hold at most {tokens - 1} k-mers, but only those with {pretrain.min_kmers} "
            "count; lower corpus.min_kmers or choose longer windows."
        )
    if not pretrain.masking.count_slots(tokens):
        return (
            f"of {tokens - 1} tokens of a window, {pretrain.masking.selected:g} are less than one "
            "to predict; raise pretrain.masking.selected or choose longer windows."
        )
    return None


def write_settings(path: str | Path, values: dict[str, Any]) -> None:
    """Write `values` as JSON with sorted keys; leave a file that holds the same untouched."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path = Path(path)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        logger.info("%s holds the same %d settings and is left as it is", path, len(values))
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    logger.info("%s: %d settings are written", path, len(values))
