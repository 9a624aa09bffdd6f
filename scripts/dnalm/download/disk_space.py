"""Free disk space, checked before gigabytes are downloaded."""

import os
import shutil
from pathlib import Path

from dnalm.errors import NoSpaceError

MIN_FREE_BYTES = 100_000_000  # left for logs and for the downloads that run at the same time
BYTES_PER_GB = 1e9


def check_space(what: str, needs: list[tuple[Path, int]]) -> None:
    """Raise NoSpaceError, naming `what`, when files of these sizes do not fit.

    `needs` are folders, which need not exist yet, and the bytes that are still to come into each.
    Those of one file system add up. A folder that nobody can write to is left out.
    """
    together: dict[int, tuple[Path, int]] = {}
    for folder, size in needs:
        if is_writable(folder):
            device = os.stat(_existing(folder)).st_dev
            first, before = together.get(device, (folder, 0))
            together[device] = (first, before + size)
    for folder, size in together.values():
        room = shutil.disk_usage(_existing(folder))
        # A file system of no size, as /proc is, does not keep account.
        if room.total and room.free < size + MIN_FREE_BYTES:
            raise NoSpaceError(
                f"{what}: {(size + MIN_FREE_BYTES) / BYTES_PER_GB:.1f} GB are needed in {folder},"
                f" where {room.free / BYTES_PER_GB:.1f} GB are free; make room there, or move"
                " `pathvars: results` or `mirror` to a larger disk."
            )


def is_writable(folder: Path) -> bool:
    """Return whether files can be put into a folder, or into the nearest one above that exists."""
    return os.access(_existing(folder), os.W_OK)


def _existing(folder: Path) -> Path:
    """Return the folder itself or the nearest one above that exists."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
