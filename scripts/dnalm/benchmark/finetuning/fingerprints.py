"""SHA-256 of every parameter of an encoder, to prove what training changed and what it did not."""

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dnalm.suggestions import listing

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """SHA-256 by the name of the parameter, of frozen ones and of those that are trained."""

    frozen: dict[str, str]
    trained: dict[str, str]

    @classmethod
    def of(cls, encoder: nn.Module) -> "Fingerprints":
        """Return the hashes of all parameters; trained are those that require a gradient."""
        named = dict(encoder.named_parameters())
        return cls.of_parameters(named, {name for name in named if named[name].requires_grad})

    @classmethod
    def of_parameters(cls, named: Mapping[str, Tensor], trained: Collection[str]) -> "Fingerprints":
        """Return the hashes of parameters by name, of which some are trained."""
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for name, values in named.items():
            content = values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            found[name in trained][name] = hashlib.sha256(content).hexdigest()
        return cls(frozen=found[False], trained=found[True])

    def check(self, encoder: nn.Module, what: str) -> None:
        """Compare with an encoder after training.

        Raises RuntimeError when a frozen parameter is not the same bit for bit. A trained one that
        has not changed is warned of: it had no part in the loss, or too few steps.
        """
        self.compare(Fingerprints.of(encoder), what)

    def compare(self, after: "Fingerprints", what: str) -> None:
        """Compare with the hashes after training, as `check` does."""
        trained = self._compare_frozen(after, what)
        same = [name for name, digest in self.trained.items() if trained.get(name) == digest]
        warn_of_unchanged(same, len(self.trained), what)

    def check_frozen(self, encoder: nn.Module, what: str) -> dict[str, str]:
        """Compare the frozen parameters alone, as `check` does; return the trained ones' hashes."""
        return self._compare_frozen(Fingerprints.of(encoder), what)

    def _compare_frozen(self, after: "Fingerprints", what: str) -> dict[str, str]:
        if after.frozen != self.frozen:
            names = sorted(
                name
                for name in self.frozen.keys() | after.frozen.keys()
                if self.frozen.get(name) != after.frozen.get(name)
            )
            raise RuntimeError(f"{what}: training changed {listing(names)}, which are frozen")
        return after.trained


def warn_of_unchanged(names: list[str], count: int, what: str) -> None:
    """Say which of `count` trained parameters have not changed."""
    if names:
        log.warning(
            "%s: %d of %d trained parameters of the encoder have not changed: %s",
            *(what, len(names), count, listing(names)),
        )
