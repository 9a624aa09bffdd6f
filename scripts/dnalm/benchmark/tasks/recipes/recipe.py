"""What a recipe owes: the files and keys of `build:` that it reads, and how it finds elements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

Files = Mapping[str, Sequence[str]]  # paths by key of `build:`
Read = Callable[[Mapping[str, Any], str, Files], pd.DataFrame]
Cut = Callable[[Mapping[str, Any], str, Files], tuple[pd.DataFrame, dict[str, Any]]]

GENOME_DECOYS = ("genome", "none")
# Keys of `build:` for windows that are placed on intervals, and how they may be placed.
INTERVAL_KEYS = (
    *("placement", "longer", "labels_by_name"),
    *("name_column", "strand_column", "summit_column"),
)
UNSTRANDED_KEYS = (*INTERVAL_KEYS, "unstranded")
INTERVAL_PLACEMENTS = ("centre", "summit", "random")
# Keys that are read with a file of `build:` alone, by the file's key.
KEYS_OF_FILES = {
    "motifs": ("motifs_column", "labels_by_motif"),
    "types": ("types_column", "types_pattern", "types_label"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How elements are read from a genome's annotation. Its defaults stand in `build.recipes`.

    Attributes:
        source: the key of `build:` that names the files of elements, which has to be given.
        format: of these files, for people.
        extra_files: keys of files that may be given, too.
        keys: the keys of `build:` that this recipe reads beside those that all do and those of
            KEYS_OF_FILES.
        labels_by: the key that gives elements their labels.
        placements: of windows that it can make; none where elements say it themselves.
        decoys: of negatives that it can make.
        read: a function of a task's `build:` with all keys, of its name and of the files, which
            returns the elements, one a row: contig, start, end (absolute, 0-based, half-open),
            strand, label (`UNLABELLED` of those without one), reversed (whether the row is an
            element's second, on the other strand), summit where placements hold `summit`, where
            strands may be missing unstranded (bool: `strand` is not the element's own) and, where
            the elements say it themselves, window (where it starts).
        cut: instead of `read`, a function of the same that returns the rows of a task whose bases
            have labels (sequence, label, split, provenance, group), and facts about them.
    """

    name: str
    source: str
    format: str
    extra_files: tuple[str, ...]
    keys: tuple[str, ...]
    labels_by: str
    placements: tuple[str, ...]
    decoys: tuple[str, ...]
    read: Read | None = None
    cut: Cut | None = None

    @property
    def of_bases(self) -> bool:
        """Whether the rows have a label for every base."""
        return self.cut is not None
