"""What a training run reads before its first step: settings and the manifest of its corpus."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from dnalm.errors import InputError
from dnalm.files import read_json
from dnalm.model.config import EncoderConfig
from dnalm.parallel.distributed import Group
from dnalm.training.arguments import RunFiles
from dnalm.training.estimates import settle
from dnalm.training.settings import Operation, Run, find_weightless


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The settings of a run and the manifest of its corpus, with the files that they came from."""

    files: RunFiles
    run: Run
    operation: Operation
    manifest: dict[str, Any]

    @property
    def encoder(self) -> EncoderConfig:
        """Return the configuration of the encoder to train."""
        return EncoderConfig(**self.run.encoder)

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps of the whole run."""
        return self.run.pretrain.count_steps(self.manifest["tokens"])

    def settled(self, group: Group) -> Self:
        """Return the same with what is left to the machine, see `estimates.settle`."""
        run, operation = settle(self.run, self.operation, self.manifest["tokens"], group)
        return replace(self, run=run, operation=operation)


def read_inputs(files: RunFiles) -> Inputs:
    """Return the settings and the manifest; raise `InputError` unless the encoder can read it."""
    inputs = Inputs(
        files=files,
        run=Run.read(files.run),
        operation=Operation.read(files.operation),
        manifest=read_json(files.corpus),
    )
    check_fit(inputs.run, inputs.manifest, files.corpus)
    return inputs


def check_fit(run: Run, manifest: dict[str, Any], path: Path) -> None:
    """Raise `InputError` unless the encoder can read the corpus, whose manifest lies at `path`."""
    for key, wanted in (("k", run.k), ("vocabulary", run.vocabulary)):
        if manifest[key] != wanted:
            raise InputError(
                f"{path} has {key} {manifest[key]}, but model {run.model} has {wanted}; "
                "give the model a corpus of its own vocabulary."
            )
    if manifest["tokens"] > run.encoder["max_tokens"]:
        raise InputError(
            f"{path} has windows of {manifest['tokens']} tokens, but model {run.model} "
            f"takes at most {run.encoder['max_tokens']}; lower the corpus's max_tokens."
        )
    if fault := find_weightless(run.pretrain, manifest["tokens"]):
        raise InputError(f"{path}: {fault}")
