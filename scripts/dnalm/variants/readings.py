"""Which passes through a language model the scores of alleles need, each of them once.

Alleles of one window share the pass of its reference; those that change the same tokens of it share
the masked pass, too. Shapes: T tokens with <cls>.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dnalm.model.heads import Pooling
from dnalm.variants.alleles import INDEL, Allele
from dnalm.variants.score_table import BY_NAME, MASKED, POOLED, UNMASKED
from dnalm.variants.windows import Windows

Tokens = NDArray[np.uint16] | NDArray[np.uint8]  # ids; of an embedder codes of bases


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which passes scores need, and so what of them is computed.

    `reference` and `alternative` say whether the unmasked windows of an allele are read, `masked`
    whether the one in which its tokens are masked is; `features`: pooled vectors are kept.
    """

    scores: tuple[str, ...]
    pooling: Pooling
    features: bool

    @property
    def places(self) -> set[str]:
        """The places of the distances."""
        return {BY_NAME[name].place for name in self.scores} - {None}

    @property
    def states(self) -> bool:
        return bool(self.places) or self.features

    @property
    def losses(self) -> bool:
        return bool({"loss_alt", "loss_difference"} & set(self.scores))

    @property
    def reference(self) -> bool:
        return self.states or "loss_difference" in self.scores

    @property
    def alternative(self) -> bool:
        return self.states or self.losses

    @property
    def masked(self) -> bool:
        return any(BY_NAME[name].pass_ == MASKED for name in self.scores)

    def passes(self) -> list[str]:
        """Return the names of the passes of an allele, as they are recorded."""
        asked = {
            "reference": self.reference,
            "alternative": self.alternative,
            MASKED: self.masked,
        }
        return [name for name, is_made in asked.items() if is_made]

    def scores_of(self, kind: str) -> set[str]:
        """Return the scores that alleles of a kind have: of indels distances of pooled vectors."""
        return {name for name in self.scores if kind != INDEL or BY_NAME[name].place == POOLED}


@dataclass(kw_only=True, eq=False)
class Reading:
    """One allele in one window: its tokens, which of them differ, and the rows that have it."""

    kind: str
    tokens: Tokens
    changed: NDArray[np.int64]
    rows: list[int]


@dataclass(kw_only=True, eq=False)
class Window:
    """A reference window, and the alleles that are read in it."""

    tokens: Tokens
    readings: dict[tuple[int, str, str], Reading] = field(default_factory=dict)


def collect_windows(windows: Windows, alleles: Mapping[int, Allele], plan: Plan) -> list[Window]:
    """Return the windows of the alleles, {row: allele}; equal alleles are read once.

    An allele of which a kind has none of the scores is left out.
    """
    found: dict[tuple, Window] = {}
    for row, allele in alleles.items():
        if not plan.scores_of(allele.kind) and not plan.features:
            continue
        for pair in windows.make(allele):
            if pair.place not in found:
                found[pair.place] = Window(tokens=windows.encode(pair.reference))
            window = found[pair.place]
            key = (allele.start, allele.reference, allele.alternative)
            if key in window.readings:
                window.readings[key].rows.append(row)
                continue
            tokens = windows.encode(pair.alternative)
            changed = np.empty(0, dtype=np.int64)
            if allele.kind != INDEL:
                changed = np.flatnonzero(tokens != window.tokens)
            window.readings[key] = Reading(
                kind=allele.kind, tokens=tokens, changed=changed, rows=[row]
            )
    return list(found.values())


def count_passes(windows: Sequence[Window], plan: Plan) -> int:
    """Return how many windows go through the model."""
    return sum(
        len(list_unmasked(window, plan)) + len(list_masked(window, plan)) for window in windows
    )


def list_unmasked(window: Window, plan: Plan) -> list[Reading | None]:
    """Return the unmasked passes of a window, the reference (None) first."""
    alternatives = [
        reading
        for reading in window.readings.values()
        if plan.alternative
        and (plan.features or any(_is_unmasked(name) for name in plan.scores_of(reading.kind)))
    ]
    return [*([None] if plan.reference and alternatives else []), *alternatives]


def _is_unmasked(name: str) -> bool:
    return BY_NAME[name].pass_ == UNMASKED


def list_masked(window: Window, plan: Plan) -> dict[tuple[int, ...], list[Reading]]:
    """Return the masked passes of a window: which tokens are masked, and who asks for that."""
    found: dict[tuple[int, ...], list[Reading]] = {}
    for reading in window.readings.values() if plan.masked else ():
        if len(reading.changed):
            found.setdefault(tuple(reading.changed.tolist()), []).append(reading)
    return found
