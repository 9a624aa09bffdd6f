"""The two descriptions of a training run: what decides its result, and how it is carried out."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, sha256_of
from dnalm.training.masking import MaskingConfig
from dnalm.training.schedule import ScheduleConfig

DIGITS = 16
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam; `weight_decay` is decoupled from the gradient (AdamW), the same as Adam at 0."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What decides the weights besides the encoder and the corpus.

    `batch_sequences` windows make one step. Training ends after `steps`, or, when that is None,
    after the first step with which `tokens` are reached. `gradient_clip` bounds the norm of the
    gradient of the mean loss; None for no bound. A window with fewer than `min_kmers` k-mers
    counts for nothing.
    """

    masking: MaskingConfig
    batch_sequences: int
    tokens: int
    steps: int | None
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    gradient_clip: float | None
    precision: Literal["float32", "bf16"]
    seed: int
    min_kmers: int

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bf16"):
            raise InputError(f"pretrain.precision is {self.precision!r}; give 'float32' or 'bf16'.")
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
    corpus: str
    k: int
    vocabulary: Literal["v1", "v2"]
    initial_weights: str | None
    pretrain: PretrainConfig

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the run that nested dictionaries describe; `InputError` names a wrong key."""
        pretrain = build(
            PretrainConfig,
            values.get("pretrain", {}),
            "pretrain",
            masking=MaskingConfig,
            optimizer=OptimizerConfig,
            schedule=ScheduleConfig,
        )
        return build(cls, {**values, "pretrain": pretrain}, "run")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the run of a run.json."""
        return cls.from_dict(read_json(path))


@dataclass(frozen=True, kw_only=True)
class Operation:
    """How a run is carried out; none of it changes what is learned, up to rounding.

    One exception: dropout above 0 is drawn anew for every pass, so that another number of
    processes or another `micro_batch` draws another run.

    `processes` is a number or `auto` (one per visible GPU, at least one), `micro_batch` the most
    sequences of one forward pass, `threads` those of the arithmetic and `workers` those that make
    batches ahead (0 for none), per process. `sharding` full cuts the weights into one shard per
    process, none keeps them whole, auto shards where they do not fit; `activation_checkpointing`
    makes a backward pass compute its block again instead of keeping all of it, auto where nothing
    else fits. `compile` compiles each block. Cadences count steps; the newest `keep_last`
    checkpoints stay. With a `scratch` folder the genomes are read from a copy there. The trainer
    saves and stops by itself before `runtime_minutes` are over.
    """

    processes: int | Literal["auto"]
    micro_batch: int
    threads: int
    workers: int
    compile: bool
    sharding: Literal["auto", "none", "full"]
    activation_checkpointing: Literal["auto"] | bool
    log_every: int
    validate_every: int
    checkpoint_every: int
    keep_last: int
    tensorboard: bool
    scratch: str | None
    runtime_minutes: float | None

    def __post_init__(self) -> None:
        counts = ("micro_batch", "threads", "log_every", "validate_every", "checkpoint_every")
        for key in (*counts, "keep_last"):
            if getattr(self, key) < 1:
                raise InputError(f"operation.{key} is {getattr(self, key)}; give 1 or more.")
        if self.processes != "auto" and int(self.processes) < 1:
            raise InputError(f"operation.processes is {self.processes}; give 1 or more or 'auto'.")
        if self.sharding not in ("auto", "none", "full"):
            raise InputError(
                f"operation.sharding is {self.sharding!r}; give 'auto', 'none' or 'full'."
            )
        if self.activation_checkpointing not in ("auto", True, False):
            raise InputError(
                f"operation.activation_checkpointing is {self.activation_checkpointing!r}; give "
                "'auto', true or false."
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the operation that a dictionary describes; `InputError` names a wrong key."""
        return build(cls, values, "operation")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Return the operation of an operation.json."""
        return cls.from_dict(read_json(path))


def build(kind: type[T], values: dict[str, Any], where: str, **parts: type) -> T:
    """Return a `kind` from `values`, its fields named in `parts` built from dictionaries.

    Raises `InputError` naming, as `where`.key, each key that is missing or unknown.
    """
    names = [field.name for field in fields(kind)]
    missing = [f"{where}.{name}" for name in names if name not in values]
    unknown = [f"{where}.{name}" for name in values if name not in names]
    if missing or unknown:
        raise InputError(
            f"The settings of {where} do not fit: "
            + "; ".join(
                f"{word} {', '.join(keys)}"
                for word, keys in (("missing", missing), ("unknown", unknown))
                if keys
            )
            + "; correct these keys in the configuration."
        )
    built = {name: build(part, values[name], f"{where}.{name}") for name, part in parts.items()}
    return kind(**{**values, **built})


def state_hash(run: Mapping[str, Any], manifest: Mapping[str, Any], kmer_counts: str | Path) -> str:
    """Return 16 hexadecimal digits that change with what decides the weights.

    `run` is the content of run.json, `manifest` and `kmer_counts` are the corpus's: content and
    file. What decides:

    - run.json but for the names of model and corpus; of a file of initial weights the bytes count;
    - how windows are cut and tokenised: k, vocabulary, windows, tokens (max_tokens decides by
      tokens alone; min_kmers is that of run.json);
    - which windows are number 0, 1, 2, …: genome after genome with contigs for training, the sum of
      its file, and the name, start and length of these contigs, all in their order;
    - the k-mer counts of these contigs: the same file, name, start and length may be another record
      of the file, given that name by the genome's `contigs`;
    - the haplotypes of these contigs, where the corpus has any, and how one is drawn.

    The names of genomes, accessions, and what is held out for evaluation decide nothing.
    """
    start = run.get("initial_weights")
    names = ("model", "corpus")
    genomes = []
    for genome in manifest["genomes"]:
        contigs = [
            [contig[key] for key in ("contig", "start", "length")]
            for contig in genome["contigs"]
            if contig["split"] == "train"
        ]
        if contigs:
            genomes.append([genome["sha256"], contigs])
    decisive = {
        "run": {key: value for key, value in run.items() if key not in names}
        | {"initial_weights": sha256_of(start) if start else None},
        "corpus": {key: manifest[key] for key in ("k", "vocabulary", "windows", "tokens")},
        "genomes": genomes,
        "kmer_counts": sha256_of(kmer_counts),
    }
    if haplotypes := manifest.get("haplotypes"):
        used = {
            contig["contig"]
            for genome in manifest["genomes"]
            if genome["name"] == haplotypes["genome"]
            for contig in genome["contigs"]
            if contig["split"] == "train"
        }
        decisive["haplotypes"] = {
            "draw": haplotypes["draw"],
            "contigs": {
                name: facts["digest"]
                for name, facts in haplotypes["contigs"].items()
                if name in used
            },
        }
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]


def name_windows(*files: str | Path) -> str:
    """Return 16 hexadecimal digits that change with the content of any of these files."""
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()[:DIGITS]


def write_settings(path: str | Path, values: dict[str, Any]) -> None:
    """Write `values` as JSON with sorted keys; leave a file that holds the same untouched."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path = Path(path)
    if path.exists() and path.read_text() == text:
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text)
