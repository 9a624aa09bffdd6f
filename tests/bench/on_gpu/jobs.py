"""What is measured, in which order, and how long it may take; loads nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass

FIRST, V2, LARGE, SMALL = (
    "500m-human-ref",
    "v2-500m-multi-species",
    "2.5b-multi-species",
    "v2-50m-multi-species",
)
MODELS = (FIRST, V2, LARGE, SMALL)
TINY_MODELS = ("tiny-v1", "tiny-v2")
# The share of what matrix products of the model's shapes reach alone that a compiled step of ours
# is to reach.
GOALS = {FIRST: 0.60, V2: 0.57, LARGE: 0.70}
PARTS = ("ceilings", "steps", "trainer", "embedding", "finetuning", "probing")
NO_MODEL = "any"
START_SECONDS = 15  # of a process: libraries, the device, the first product
# Expected of a part on an H200, computed from operations and what compilation takes; a job that no
# longer fits is left out.
SECONDS = {
    "ceilings": 8,
    "steps": 75,
    "trainer": 115,
    "embedding": 45,
    "finetuning": 40,
    "probing": 30,
}
# What decides most comes first; of the later models only what the goals are about.
ORDER = (
    ("ceilings", NO_MODEL),
    ("steps", FIRST),
    ("trainer", FIRST),
    ("steps", V2),
    ("steps", LARGE),
    ("embedding", FIRST),
    ("finetuning", FIRST),
    ("probing", NO_MODEL),
    ("embedding", V2),
    ("steps", SMALL),
)
TINY_ORDER = (
    ("ceilings", NO_MODEL),
    *(("steps", model) for model in TINY_MODELS),
    ("trainer", TINY_MODELS[0]),
    ("embedding", TINY_MODELS[0]),
    ("finetuning", TINY_MODELS[0]),
    ("probing", NO_MODEL),
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One part for one model, and the seconds that it is expected to take."""

    part: str
    model: str
    seconds: float

    def __str__(self) -> str:
        return self.part if self.model == NO_MODEL else f"{self.part} of {self.model}"


def plan(models: Sequence[str], parts: Sequence[str], *, tiny: bool) -> list[Job]:
    """Return the jobs of some models and parts, in the order in which they are to be done."""
    return [
        Job(part=part, model=model, seconds=0.0 if tiny else SECONDS[part])
        for part, model in (TINY_ORDER if tiny else ORDER)
        if part in parts and model in (*models, NO_MODEL)
    ]
