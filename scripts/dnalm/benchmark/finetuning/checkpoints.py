"""Folds on their way, kept in a folder: a killed job goes on from the last one.

A file holds the folds that are trained side by side, all of them at one step. Its name is the
number of one of them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dnalm.benchmark.finetuning.classifier import read_tensors
from dnalm.benchmark.finetuning.fold_run import Checkpoint
from dnalm.benchmark.finetuning.learner import FoldState
from dnalm.jobs.partial import Format, Partial

Checkpoints = Mapping[int, Checkpoint]
TENSORS = ("values", "first", "second", "kept")


def _write(path: Path, checkpoints: Checkpoints) -> None:
    tensors: dict[str, Tensor] = {}
    facts: dict[int, dict[str, Any]] = {}
    for fold, one in checkpoints.items():
        parts = (one.state.values, one.state.first, one.state.second, one.kept)
        for part, named in zip(TENSORS, parts, strict=True):
            tensors |= {f"{fold}.{part}.{name}": own for name, own in named.items()}
        facts[fold] = one.facts | {"updates": one.state.updates}
    save_file(tensors, path, {"facts": json.dumps(facts)})


def _read(path: Path) -> dict[int, Checkpoint]:
    return _put_together(*read_tensors(path))


def _read_names(path: Path) -> dict[int, Checkpoint]:
    """Return the same with nothing in the tensors."""
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return _put_together({name: torch.empty(0) for name in names}, file.metadata())


def _put_together(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[int, Checkpoint]:
    found = {}
    for key, facts in json.loads(metadata["facts"]).items():
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in TENSORS}
        for name, own in tensors.items():
            fold, part, inner = name.split(".", 2)
            if fold == key:
                parts[part][inner] = own.clone()
        kept, updates = parts.pop("kept"), facts.pop("updates")
        state = FoldState(**parts, updates=updates)
        found[int(key)] = Checkpoint(state=state, kept=kept, facts=facts)
    return found


def _read_steps(path: Path) -> dict[int, int]:
    """Return how many steps were made of each fold, without its tensors."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
    return {int(fold): own["step"] for fold, own in facts.items()}


RUNNING = Format(
    suffix=".running",
    write=_write,
    read=_read,
    torn=(OSError, ValueError, KeyError, SafetensorError),
)


class Running:
    """The checkpoints of a fine-tuning in the folder of its finished folds. May be sent."""

    def __init__(self, partial: str | Path, facts: Mapping[str, Any]) -> None:
        self.partial, self.facts = Path(partial), facts
        self._kept = Partial(partial, facts, RUNNING)
        self._known = Partial(partial, facts, replace(RUNNING, read=_read_steps))

    def steps(self, folds: Iterable[int]) -> dict[int, int]:
        """Return how many steps were made of each of `folds` that has a checkpoint."""
        found = {fold: step for fold, (step, _) in self._furthest().items()}
        return {fold: found[fold] for fold in folds if fold in found}

    def _furthest(self) -> dict[int, tuple[int, str]]:
        """Return the furthest step of each fold and the name of its file."""
        found: dict[int, tuple[int, str]] = {}
        for name, steps in self._known.read().items():
            for fold, step in steps.items():
                found[fold] = max(found.get(fold, (-1, "")), (step, name))
        return found

    def write(self, name: int, checkpoints: Checkpoints) -> None:
        """Keep folds that are trained side by side under the number of one of them."""
        self._kept.write(str(name), checkpoints)

    def read(self, name: int) -> dict[int, Checkpoint]:
        """Return what was kept under `name`, which may be nothing."""
        return self._kept.find(str(name)) or {}

    def remove(self, name: int) -> None:
        """Forget what was kept under `name`."""
        self._kept.path(str(name)).unlink(missing_ok=True)

    def regroup(self, groups: Sequence[Sequence[int]]) -> None:
        """Keep the checkpoints of each group in a file of its own, named by its first fold.

        Folds in no group are forgotten.
        """
        furthest, files = self._furthest(), self._known.read()
        new: dict[int, dict[int, Checkpoint]] = {}
        for group in groups:
            own = [fold for fold in group if fold in furthest]
            if own and list(files.get(str(group[0]), {})) != own:
                new[group[0]] = {fold: self._kept.load(furthest[fold][1])[fold] for fold in own}
        for name, checkpoints in new.items():  # when all were read that may be overwritten
            self.write(name, checkpoints)
        for name in files.keys() - {str(group[0]) for group in groups}:
            self.remove(int(name))


class Watched(Running):
    """The same for a process that helps another one, which alone keeps and forgets checkpoints.

    What it reads has names and nothing in its tensors.
    """

    def __init__(self, partial: str | Path, facts: Mapping[str, Any]) -> None:
        super().__init__(partial, facts)
        self._kept = Partial(partial, facts, replace(RUNNING, read=_read_names))

    def write(self, name: int, checkpoints: Checkpoints) -> None:
        """Do nothing."""

    def remove(self, name: int) -> None:
        """Do nothing."""
