"""Embedders in the place of an encoder, for what reads pooled states of their layers alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.tunable import ForeignConfig, ForeignTokens


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenEmbedder:
    """An embedder that was opened on a device, where it stays; `name` is what messages call it."""

    embedder: Any
    name: str
    device: torch.device

    @property
    def config(self) -> ForeignConfig:
        """Its sizes."""
        limit = getattr(self.embedder, "max_tokens", None)
        own = self.embedder
        return ForeignConfig(layers=own.layers, width=own.width, max_tokens=limit)


def open_frozen(
    entry: Mapping[str, Any], device: torch.device
) -> tuple[FrozenEmbedder, ForeignTokens]:
    """Return an embedder, on a device, and what stands in the place of its vocabulary."""
    embedder, name = open_embedder(entry, str(device)), name_embedder(entry)
    frozen = FrozenEmbedder(embedder=embedder, name=name, device=device)
    return frozen, ForeignTokens(embedder=embedder, name=name)
