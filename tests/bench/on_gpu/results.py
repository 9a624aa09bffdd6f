"""Rows of measurements, the file that they grow in, and their table."""

import errno
import json
import math
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

COLUMNS = (
    ("part", "part"),
    ("model", "model"),
    ("side", "side"),
    ("sequences", "B"),
    ("tokens", "T"),
    ("value", "speed"),
    ("unit", "unit"),
    ("ratio", "ratio"),
    ("tflops", "TFLOP/s"),
    ("share_of_products", "of products"),
    ("goal", "goal"),
    ("share_of_square", "of square"),
    ("share_of_peak", "of peak"),
    ("gigabytes", "GB"),
    ("agrees", "agrees"),
    ("check", "checked"),
    ("note", "note"),
)
SHARES = ("goal", "share_of_products", "share_of_square", "share_of_peak")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement; None where a column has no meaning.

    `value` is in `unit`; `ratio` is the speed of ours (compiled) over that of this row. `tflops`
    are useful ones: nothing that is computed twice counts twice. `check` says what was compared.
    """

    part: str
    model: str
    side: str
    value: float | None
    unit: str
    sequences: int | None = None
    tokens: int | None = None
    ratio: float | None = None
    tflops: float | None = None
    share_of_products: float | None = None  # of what products of this model's shapes reach alone
    goal: float | None = None  # the least share of products that is wished for
    share_of_square: float | None = None  # of one large square product
    share_of_peak: float | None = None  # of what the data sheet says
    gigabytes: float | None = None  # the most that was allocated at once
    agrees: bool | None = None
    check: str = ""
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # what the table has no column for


def prepare(path: Path) -> None:
    """Make room for a file of results: what an earlier run has left there gets another name.

    Raises OSError where no file can be written there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass
    if path.exists():
        names = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(1))
        kept = next(name for name in names if not name.exists())
        path.rename(kept)
        sys.stderr.write(f"{path} is of an earlier run; it is now {kept}\n")


class Results:
    """The file of a run: facts on the machine, rows, and what was left out, whole at any time.

    `is_written` says whether all of it is in the file; a full disk stops no measurement.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.is_written = path, False
        self.content: dict[str, Any] = {**facts, "rows": [], "left_out": [], "finished": False}
        self._write()

    def note(self, **facts: Any) -> None:
        """Add or change facts."""
        self.content |= facts
        self._write()

    def add(self, row: dict[str, Any]) -> None:
        self.content["rows"].append(row)
        self._write()

    def leave_out(self, job: str, why: str, *, failed: bool) -> None:
        self.content["left_out"].append({"job": job, "why": why, "failed": failed})
        self._write()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.content["rows"]

    @property
    def is_good(self) -> bool:
        """Whether nothing failed and nothing disagreed."""
        failed = any(entry["failed"] for entry in self.content["left_out"])
        return not failed and not any(row["agrees"] is False for row in self.rows)

    def _write(self) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        text = json.dumps(_without_nan(self.content), indent=2, ensure_ascii=False)
        try:
            temporary.write_text(text + "\n")
            os.replace(temporary, self.path)
        except OSError as error:
            self.is_written = False
            sys.stderr.write(f"{self.path} is not written ({error.strerror}); tried again later\n")
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        else:
            self.is_written = True


def _without_nan(value: Any) -> Any:
    """Return a value with every number that is none, which JSON does not know, as a text."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def as_dict(row: Row) -> dict[str, Any]:
    return asdict(row)


def format_table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as lines of aligned columns, without the columns that no row fills."""
    columns = [(key, title) for key, title in COLUMNS if any(_is_said(row[key]) for row in rows)]
    lines = [[title for _, title in columns]]
    lines += [[show(key, row[key]) for key, _ in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "".join(line.rstrip() + "\n" for line in padded)


def format_row(row: dict[str, Any]) -> str:
    """Return a row as one line of what it says."""
    return ", ".join(
        f"{title} {show(key, row[key])}" if key not in ("part", "model", "side") else row[key]
        for key, title in COLUMNS
        if _is_said(row[key])
    )


def _is_said(value: object) -> bool:
    return value is not None and value != ""


def show(key: str, value: object) -> str:
    if not _is_said(value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.1%}" if key in SHARES else f"{value:,.4g}"
    return str(value)
