"""Training history: metrics as JSON lines, cut back to the checkpoint on resuming."""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dnalm.files import atomic_path
from dnalm.jobs.lock import Lock

logger = logging.getLogger(__name__)


class History:
    """Append-only history of metrics, as JSON lines and optionally for TensorBoard.

    Rows of evaluations carry `held_out`, which names these windows.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        last_step: int | None,
        held_out: str,
        lock: Lock,
        board: Path | None,
    ) -> None:
        """Open `path`; keep its rows up to `last_step`.

        Without a last step it starts empty, and what it held is renamed (`set_aside`). A line that
        a killed process left unfinished goes. Nothing is written once `lock` is lost. `board` is
        the folder of TensorBoard's files, or None for none.
        """
        self.path, self.held_out = Path(path), held_out
        kept = []
        if last_step is None:
            set_aside(self.path)
        elif self.path.exists():
            kept = [row for row in read_history(self.path) if row["step"] <= last_step]
        _write(self.path, kept)
        self._lock = lock
        self._file = self.path.open("ab", buffering=0)
        self._unwritten = b""
        self._board = None
        if board is not None:
            # Here, because it takes seconds that runs without it need not spend.
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(board), purge_step=(last_step or -1) + 1)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row, which has a `step`; readers of the file see it at once.

        On a full disk it waits for the next one to be written.
        """
        self._lock.check()
        self._unwritten += (json.dumps(row) + "\n").encode()
        self._write()
        if self._board is not None:
            try:
                for key, value in _numbers(row):
                    if key != "step":
                        self._board.add_scalar(key, value, row["step"])
            except OSError as error:
                logger.warning("TensorBoard's files get no more rows: %s.", error)
                self._board = None

    def sync(self) -> None:
        """Return when every row would survive a power cut."""
        self._lock.check()
        self._write()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            logger.warning("%s may lack its last rows: %s.", self.path, error)

    def _write(self) -> None:
        try:
            while self._unwritten:
                written = self._file.write(self._unwritten)
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            logger.warning("%s cannot be written (%s); its rows wait in memory.", self.path, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self._file.close()
        if self._board is not None:
            self._board.close()


def set_aside(path: Path) -> Path | None:
    """Rename a history of steps whose checkpoints are all lost; return its new name, or None.

    Only one that has come further than what was set aside before takes its place.
    """
    rows = read_history(path) if path.exists() else []
    aside = path.with_name(f"lost.{path.name}")
    reached = max((row["step"] for row in rows), default=0)
    before = read_history(aside) if aside.exists() else []
    if reached <= max((row["step"] for row in before), default=0):
        return None
    path.rename(aside)
    logger.warning(
        "No checkpoint is left of the %d steps of %s: training begins anew; its rows are in %s.",
        *(reached, path, aside),
    )
    return aside


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    """Yield the numbers of a row; those of a part of it are named part/key."""
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}/{inner}", number) for inner, number in _numbers(value))
        elif isinstance(value, int | float):
            yield key, value


def leave_genomes_out(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its mappings: there may be hundreds of genomes."""
    return {key: value for key, value in row.items() if not isinstance(value, Mapping)}


def export_history(source: str | Path, destination: str | Path, held_out: str) -> None:
    """Copy a history without the rows measured on other windows than `held_out`."""
    rows = read_history(source)
    _write(destination, [row for row in rows if row.get("held_out", held_out) == held_out])


def _write(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def is_measured(path: str | Path, step: int, held_out: str) -> bool:
    """Return whether a history has a row of `step` on the windows `held_out`."""
    wanted = {"step": step, "held_out": held_out}
    return Path(path).exists() and any(wanted.items() <= row.items() for row in read_history(path))


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a history; an unfinished last line is left out.

    What stands behind a line that a power cut or a full disk left unreadable is left out too.
    """
    rows = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            logger.warning("%s, line %d is damaged; no row from there on is used.", path, number)
            break
    return rows
