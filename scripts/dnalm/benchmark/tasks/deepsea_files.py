"""Readers of the files of DeepSEA: one-hot bases and profiles, in HDF5 or MATLAB 5.

Of a file of 2 N rows the second N are the reverse complements of the first, in the same order; the
first N, the forward strand, are returned. Shapes: N rows, L bases, C profiles.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.row_files import refuse_folder
from dnalm.errors import InputError
from dnalm.files import refuse_stream
from dnalm.jobs.progress import Progress

CHANNELS = "AGCT"  # the order in which the files hold the letters; all zero is an N
BASES, PROFILES = "xdata", "data"  # what the names of the two variables of a file end with
BLOCK_BYTES = 1 << 27  # of one-hot bases in memory at once, beside a few arrays of their size
MIRRORED_ROWS = 100  # that are compared with the second half
LETTERED_ROWS = 1000  # whose dinucleotides are counted
# CG is rarer than GC in vertebrates, 0.2 to 0.6 of it, and about as frequent elsewhere. With C and
# G mixed up the two numbers change places.
MOST_CG, LEAST_PAIRS = 1.5, 100
# TA is rarer than AT, 0.68 to 0.94 of it in each of seven genomes and pieces from E. coli to human;
# with A and T mixed up they change places. More pairs are asked for, as the two lie closer.
MOST_TA, LEAST_PAIRS_OF_AT = 1.1, 10_000

log = logging.getLogger(__name__)


class Variable(Protocol):
    """An array of a file, in memory or not."""

    shape: tuple[int, ...]

    def __getitem__(self, key: Any) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class ProfileRows:
    """The forward rows of a file: N sequences, and their profiles int8 [N, C]."""

    sequences: list[str]
    profiles: NDArray[np.int8]


def read_profiles(path: str | Path) -> ProfileRows:
    """Return the forward rows of one of DeepSEA's files.

    Bases of an HDF5 file (MATLAB 7.3) are [L, 4, 2 N] as h5py shows them, with profiles [C, 2 N];
    of a MATLAB 5 file [2 N, 4, L] and [2 N, C]. The first are read in blocks of `BLOCK_BYTES`, of
    the others one variable at a time.

    Raises InputError for other files and other axes, numbers that are not one-hot, halves that do
    not mirror each other, and an order of channels that is not A, G, C, T.
    """
    refuse_folder(path)
    with _explained(path):
        refuse_stream(path)
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path} is read with the package h5py: install it (`pip install dnalm[deepsea]`)."
        ) from None
    if not h5py.is_hdf5(path):
        return _read_matlab_5(path)
    with _explained(path), h5py.File(path) as file:
        names = [name for name, item in file.items() if isinstance(item, h5py.Dataset)]
        bases, profiles = (file[name] for name in _find_variables(path, names))
        rows = _check_axes(path, bases.shape, profiles.shape, last=True)
        block = _rows_at_once(bases)
        heads = (bases[..., start : start + MIRRORED_ROWS] for start in (0, rows))
        check_halves(path, *heads, rows)
        found = np.empty((rows, profiles.shape[0]), dtype=np.int8)
        sequences: list[str] = []
        with Progress(f"read {Path(path).name}", "rows", rows) as progress:
            for start in range(0, rows, block):
                stop = min(start + block, rows)
                found[start:stop] = _flags(path, profiles[:, start:stop].T, start)
                sequences += decode(path, bases[..., start:stop].transpose(2, 1, 0), start)
                progress.advance(stop - start)
    check_letters(path, sequences)
    return ProfileRows(sequences=sequences, profiles=found)


def _read_matlab_5(path: str | Path) -> ProfileRows:
    from scipy.io import loadmat, whosmat
    from scipy.sparse import issparse

    with _explained(path):
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        bases_name, profiles_name = _find_variables(path, list(shapes))
        rows = _check_axes(path, shapes[bases_name], shapes[profiles_name], last=False)
        profiles = loadmat(path, variable_names=[profiles_name])[profiles_name]
        if issparse(profiles):  # few labels are 1, and some save them so
            profiles = profiles.tocsr()[:rows].toarray()
        profiles = profiles[:rows]
        found = _flags(path, profiles, 0)
        del profiles
        bases = loadmat(path, variable_names=[bases_name])[bases_name]
        mirrored = (bases[start : start + MIRRORED_ROWS].transpose(2, 1, 0) for start in (0, rows))
        check_halves(path, *mirrored, rows)
        sequences: list[str] = []
        block = max(1, BLOCK_BYTES // bases[0].nbytes)
        for start in range(0, rows, block):
            sequences += decode(path, bases[start : min(start + block, rows)], start)
    check_letters(path, sequences)
    return ProfileRows(sequences=sequences, profiles=found)


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # h5py raises OSError, KeyError and RuntimeError; scipy also its own, which are Exceptions.
    except Exception as error:
        raise InputError(
            f"{path} is no file of MATLAB 5 or HDF5, or is damaged ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:160]}): fetch it again."
        ) from error


def _find_variables(path: str | Path, names: list[str]) -> tuple[str, str]:
    bases = [name for name in names if name.endswith(BASES)]
    profiles = [name for name in names if name.endswith(PROFILES) and name not in bases]
    if len(bases) != 1 or len(profiles) != 1:
        raise InputError(
            f"{path} holds {', '.join(sorted(names)) or 'nothing'}, and one variable ...xdata with "
            "one ...data are to be read: give a file as DeepSEA's train.mat, valid.mat or test.mat."
        )
    return bases[0], profiles[0]


def _check_axes(
    path: str | Path, bases: tuple[int, ...], profiles: tuple[int, ...], *, last: bool
) -> int:
    """Return the number of forward rows; `last` says that rows are the last axis, else the first.

    Raises InputError for other axes and for an odd number of rows.
    """
    axis, expected = (
        (-1, "[bases, 4, rows] and [labels, rows]")
        if last
        else (
            0,
            "[rows, 4, bases] and [rows, labels]",
        )
    )
    fits = len(bases) == 3 and len(profiles) == 2 and bases[1] == len(CHANNELS)
    # With other axes one of the labels' is as long as one of the bases': else rows are missing.
    if fits and not {bases[0], bases[-1]} & set(profiles):
        raise InputError(
            f"{path} holds {bases[axis]:,} sequences and {profiles[axis]:,} rows of labels, and "
            "each sequence has one: give a file as DeepSEA's, with all rows of both."
        )
    if not fits or bases[axis] != profiles[axis]:
        raise InputError(
            f"{path} has bases {list(bases)} and labels {list(profiles)}, but {expected} are "
            f"expected of {'HDF5' if last else 'MATLAB 5'}: save the arrays with these axes."
        )
    rows = bases[axis]
    if rows < 2 or rows % 2:
        raise InputError(
            f"{path} has {rows} rows, and the second half is to hold the reverse complements of "
            "the first: give a whole file."
        )
    return rows // 2


def _rows_at_once(bases: Any) -> int:
    """Return how many rows make a block, a multiple of those of an HDF5 chunk where that fits."""
    length, channels, _ = bases.shape
    rows = max(1, BLOCK_BYTES // (length * channels * bases.dtype.itemsize))
    chunk = bases.chunks[-1] if bases.chunks else 1
    return rows // chunk * chunk or rows


def check_halves(path: str | Path, first: np.ndarray, second: np.ndarray, rows: int) -> None:
    """Raise InputError unless the rows of the second half mirror those of the first.

    Both are [L, 4, N]. With the order of channels A, G, C, T, as with A, C, G, T, complementing
    reverses it, so that this does not tell the two apart.
    """
    number = min(first.shape[-1], rows)
    first, second = first[..., :number], second[..., :number]
    other = (first[::-1, ::-1] != second).any(axis=(0, 1))
    if other.any():
        raise InputError(
            f"{path}: row {rows + int(other.argmax()) + 1} is not the reverse complement of row "
            f"{int(other.argmax()) + 1}, as in {int(other.sum())} of the first {number} rows: the "
            "halves or the axes of the file are others than DeepSEA's."
        )


def decode(path: str | Path, one_hot: np.ndarray, first: int = 0) -> list[str]:
    """Return sequences of one-hot bases [N, 4, L] in the order A, G, C, T; all zero is an N.

    `first` is the number of rows before them, for errors. Raises InputError for other numbers.
    """
    _refuse_other_numbers(path, one_hot, first)
    flags = one_hot.astype(bool, copy=False)
    codes = np.full((len(flags), flags.shape[2]), len(CHANNELS), dtype=np.uint8)
    several = flags.sum(axis=1, dtype=np.uint8) > 1
    if several.any():
        row, base = np.argwhere(several)[0]
        raise InputError(
            f"{path}, row {first + row + 1}: base {base + 1} has several letters; give one-hot "
            "bases."
        )
    for code in range(len(CHANNELS)):
        codes[flags[:, code]] = code
    letters = np.frombuffer((CHANNELS + "N").encode(), np.uint8)[codes]
    return [row.tobytes().decode() for row in letters]


def _flags(path: str | Path, profiles: np.ndarray, first: int) -> NDArray[np.int8]:
    _refuse_other_numbers(path, profiles, first)
    return profiles.astype(np.int8)


def _refuse_other_numbers(path: str | Path, array: np.ndarray, first: int) -> None:
    unsigned = array.dtype.kind in "ub"  # of which one comparison, and one more array, suffices
    other = array > 1 if unsigned else (array != 0) & (array != 1)
    if other.any():
        row = int(np.argwhere(other)[0][0])
        raise InputError(
            f"{path}, row {first + row + 1} holds {array[other][0]!s}, and bases and labels are 0 "
            "or 1: give a file as DeepSEA's."
        )


def check_letters(path: str | Path, sequences: list[str]) -> None:
    """Raise InputError where CG or TA is so frequent that two letters must have changed places."""
    rows = sequences[:LETTERED_ROWS]
    for rare, other, most, least in (
        ("CG", "GC", MOST_CG, LEAST_PAIRS),
        ("TA", "AT", MOST_TA, LEAST_PAIRS_OF_AT),
    ):
        found, beside = (sum(text.count(pair) for text in rows) for pair in (rare, other))
        if found + beside >= least and found > most * beside:
            raise InputError(
                f"{path}: read in the order A, G, C, T its first {len(rows)} rows hold {found:,} "
                f"{rare} and {beside:,} {other}, and in DNA of vertebrates {rare} is the rarer one:"
                " the channels are in another order, as A, C, G, T; save them as DeepSEA's are."
            )


def profile_table(
    files: Mapping[str, Sequence[str]],
    roles: Sequence[str],
    groups: Mapping[str, str],
    classes: int,
    name: str,
) -> pd.DataFrame:
    """Return sequence, label, split, provenance and group of all rows of several files.

    `roles` are the keys of `files`, `groups` the group of their rows, "" of others. Labels are rows
    of one int8 array a file. Raises InputError for another number of labels than `classes`.
    """
    parts = []
    for role in roles:
        split = "test" if role == "test" else "train"
        for path in files.get(role, []):
            rows = read_profiles(path)
            if rows.profiles.shape[1] != classes:
                raise InputError(
                    f"{path} has {rows.profiles.shape[1]} labels, but task {name} has {classes}: "
                    "correct `classes` of the task or give its file."
                )
            log.info("%s: %d forward rows of %d labels", path, *rows.profiles.shape)
            file = Path(path).name
            parts.append(
                pd.DataFrame(
                    {
                        "sequence": rows.sequences,
                        "label": list(rows.profiles),
                        "split": split,
                        "provenance": [f"{file}, row {i + 1}" for i in range(len(rows.sequences))],
                        "group": groups.get(role, ""),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
