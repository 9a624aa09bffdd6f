"""SHA-256 of every parameter of an encoder, to prove what training changed and what it did not."""

import hashlib
import logging
from dataclasses import dataclass

import torch
from torch import nn

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
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for name, values in encoder.named_parameters():
            content = values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            found[values.requires_grad][name] = hashlib.sha256(content).hexdigest()
        return cls(frozen=found[False], trained=found[True])

    def check(self, encoder: nn.Module, what: str) -> None:
        """Compare with an encoder after training.

        Raises RuntimeError when a frozen parameter is not the same bit for bit. A trained one that
        has not changed is warned of: it had no part in the loss, or too few steps.
        """
        trained = self.check_frozen(encoder, what)
        same = [name for name, digest in self.trained.items() if trained.get(name) == digest]
        warn_of_unchanged(same, len(self.trained), what)

    def check_frozen(self, encoder: nn.Module, what: str) -> dict[str, str]:
        """Compare the frozen parameters alone, as `check` does; return the trained ones' hashes."""
        after = Fingerprints.of(encoder)
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
