"""Work of a run: of each stage, method, model and task an amount whose rate can be measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dnalm.model.config import EncoderConfig

FLOP, BASES, ROW_BASES, GENOTYPES = "FLOP", "bases", "bases of rows × parts", "genotypes"
FLOAT32_BYTES, FLOAT16_BYTES = 4, 2
NO_TABLE = "rows or lengths: the task's table does not exist yet"
Workload = Mapping[str, Any]  # as `dnalm.configuration.workload` resolves it


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a stage does for one method, model and task.

    Attributes:
        stage, method, model, task: what it is, "" where there is none.
        jobs: as the workflow starts them; each loads its libraries.
        amount, unit: None is not known, and `unknown` says what.
        rate: the key under which the rate of this machine is measured, in units per CPU second.
        precision: of the products, on a GPU; None for what runs on processors alone.
        memory, disk: bytes of one job, and of what is left of all.
    """

    stage: str
    method: str
    model: str
    task: str
    jobs: int
    amount: float | None
    unit: str
    rate: tuple[Any, ...]
    precision: str | None
    memory: float
    disk: float
    unknown: str = ""


@dataclass(frozen=True)
class Model:
    """An encoder of the workload, None for embeddings that another program made."""

    name: str
    config: EncoderConfig | None
    k: int
    facts: Mapping[str, Any] = field(hash=False)

    @classmethod
    def of(cls, name: str, facts: Mapping[str, Any] | None) -> "Model":
        if facts is None:
            return cls(name, None, 0, {})
        return cls(name, EncoderConfig(**facts["run"]["encoder"]), facts["run"]["k"], facts)


def make_unknown(stage: str, why: str, unit: str, **names: str) -> Work:
    """Return work of an amount that is not known, and why."""
    given = {"method": "", "model": "", "task": ""} | names
    none = {"amount": None, "rate": (), "precision": None, "memory": 0.0, "disk": 0.0}
    return Work(stage=stage, jobs=1, unit=unit, unknown=why, **given, **none)


def is_known(task: Mapping[str, Any]) -> bool:
    """Return whether rows and lengths of a task are known."""
    return None not in (task["bases"], task["train"], task["test"])
