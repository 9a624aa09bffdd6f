"""Windows of a genome in which annotated elements are looked at: in a row, or around an element.

Coordinates are 0-based and half-open, of whole contigs. Windows hold no N and do not overlap others
of the same sort, so that no base counts twice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases, find_gaps
from dnalm.genome.intervals import Spans, merge_spans, touch

COLUMNS = ("contig", "start", "end", "element")


def list_pieces(genome: GenomeBases, contigs: Sequence[str] | None) -> dict[str, tuple[int, int]]:
    """Return the first and the end base of each of the contigs (None: of all).

    Raises InputError for a contig that the genome has not, or that is stored in several pieces.
    """
    table = genome.contigs
    pieces: dict[str, tuple[int, int]] = {}
    wanted = list(dict.fromkeys(table["contig"])) if contigs is None else contigs
    for contig in wanted:
        own = table[table["contig"] == contig]
        if own.empty:
            raise InputError(
                f"{genome.contigs_path}: there is no contig {contig}; correct `contigs`."
            )
        if len(own) > 1:
            raise InputError(
                f"{genome.contigs_path}: {len(own)} pieces of {contig} are stored; name contigs of "
                "one piece in `contigs`."
            )
        start, length = int(own["start"].iloc[0]), int(own["length"].iloc[0])
        pieces[contig] = (start, start + length)
    return pieces


def tile_windows(
    genome: GenomeBases, pieces: Mapping[str, tuple[int, int]], bases: int
) -> tuple[pd.DataFrame, int]:
    """Return windows of `bases` side by side along the contigs, and how many were left out for N.

    What remains at the end of a contig is no window. Raises InputError when there is no window.
    """
    rows, left_out = [], 0
    for contig, (first, end) in pieces.items():
        starts = np.arange(first, end - bases + 1, bases, dtype=np.int64)
        with_n = touch(starts, starts + bases, merge_spans(*find_gaps(genome, contig)))
        left_out += int(with_n.sum())
        rows += [(contig, start, start + bases, "") for start in starts[~with_n].tolist()]
    if not rows:
        raise InputError(
            f"{genome.contigs_path}: no window of {bases:,} bases without an N lies on "
            f"{', '.join(list(pieces)[:3])}; choose shorter windows or other contigs."
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)), left_out


def sample_windows(
    genome: GenomeBases,
    pieces: Mapping[str, tuple[int, int]],
    elements: Mapping[str, Mapping[str, Spans]],
    *,
    bases: int,
    each: int,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return up to `each` windows for every element, each around one occurrence, in random order.

    The occurrence lies at a random place of its window, whole where it fits. Windows of one element
    do not overlap; those of two may. Also returned is how many windows each element got. Raises
    InputError for an element that never occurs on these contigs.
    """
    gaps = {contig: merge_spans(*find_gaps(genome, contig)) for contig in pieces}
    rows, found = [], {}
    for name, by_contig in elements.items():
        # Of the name alone, so that another element changes no window of this one.
        random = np.random.default_rng([seed, *name.encode()])
        places = [
            (contig, int(start), int(end))
            for contig, spans in by_contig.items()
            if contig in pieces
            for start, end in zip(*spans, strict=True)
        ]
        if not places:
            raise InputError(
                f"elements: {name} never occurs on {', '.join(list(pieces)[:3])}; leave it out or "
                "choose other contigs."
            )
        taken: dict[str, list[tuple[int, int]]] = {contig: [] for contig in pieces}
        own: list[tuple[str, int, int, str]] = []
        for index in random.permutation(len(places)):
            if len(own) == each:
                break
            contig, start, end = places[index]
            window = _place(start, end, bases, pieces[contig], random)
            if window is not None and _is_free(window, taken[contig], gaps[contig]):
                taken[contig].append(window)
                own.append((contig, *window, name))
        rows += own
        found[name] = len(own)
    return pd.DataFrame(rows, columns=list(COLUMNS)), found


def _place(
    start: int,
    end: int,
    bases: int,
    piece: tuple[int, int],
    random: np.random.Generator,
) -> tuple[int, int] | None:
    """Return a window that holds an occurrence, or lies in it, at a random place of the piece."""
    low, high = (end - bases, start) if end - start <= bases else (start, end - bases)
    low, high = max(low, piece[0]), min(high, piece[1] - bases)
    if low > high:
        return None
    first = int(random.integers(low, high + 1))
    return first, first + bases


def _is_free(window: tuple[int, int], taken: Sequence[tuple[int, int]], gaps: Spans) -> bool:
    start, end = window
    if any(start < other_end and other_start < end for other_start, other_end in taken):
        return False
    one = np.array([start], dtype=np.int64), np.array([end], dtype=np.int64)
    return not touch(*one, gaps).item()


def read_codes(genome: GenomeBases, window: Sequence) -> NDArray[np.uint8]:
    """Return the base codes of a row of the windows' table."""
    return genome.read_absolute(window[0], int(window[1]), int(window[2]))
