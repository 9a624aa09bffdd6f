"""Atomic writes: files appear under their final name only when complete. JSON, TSV, and hashes."""

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import time
import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dnalm.errors import InputError
from dnalm.jobs.exhaustion import disk_full_error, is_disk_full
from dnalm.jobs.processes import is_running, machine, start_of

if TYPE_CHECKING:
    import pandas as pd

CHUNK_BYTES = 1 << 20
REBUILD = "delete the file and run again to have it rebuilt"
MAX_REASON = 200  # characters of what pandas says of a table
# In the name of a temporary: hash of the machine, process id, its start time, a random number.
WRITER_PATTERN = r"([0-9a-f]{8})-([0-9]+)-([0-9a-z]+)-[0-9a-f]{8}"
# A temporary of another machine, whose processes cannot be seen, is stale when nobody has written
# to it for a week: longer than a suspended job rests.
MAX_TEMPORARY_AGE_SECONDS = 7 * 86_400


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without error.

    The temporary path does not exist yet, so the block may make a file or a folder of it. On any
    error it is removed and `path` is left as it was. No other process, whatever its machine or
    container, has the same one; stale ones of killed writers of `path` are removed. Whatever
    writes, its files may be read by those whom the umask lets read.

    Raises:
        NoSpaceError: the disk is full, in whatever words the writer said so.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        yield temporary
        follow_umask(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        full = is_disk_full(error, path.parent)
        _remove(temporary)
        if full:
            raise disk_full_error(path) from error
        raise


def temporary_path(path: Path) -> Path:
    """Return a path beside `path` that no other process has, in a folder that is made if need be.

    Stale ones of killed writers of `path` are removed.
    """
    make_folder(path.parent)
    _remove_stale(path)
    # The suffix is kept at the end because many writers choose their format by it.
    return path.with_name(f".{path.stem}.{_writer()}-{secrets.token_hex(4)}{path.suffix}")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, also while other processes remove empty ones."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # another process has just removed one above as empty
        folder.mkdir(parents=True, exist_ok=True)


def follow_umask(path: Path) -> None:
    """Give a file, or all in a folder, the permissions that the umask leaves a new one.

    Some libraries make files that only their owner may read, as safetensors does from 0.8 on.
    """
    kept = ~_umask()
    for one in (path, *(path.rglob("*") if path.is_dir() else ())):
        if not one.is_symlink():
            mode = stat.S_IMODE(one.stat().st_mode)
            wanted = mode | ((0o777 if one.is_dir() else 0o666) & kept)
            if wanted != mode:
                one.chmod(wanted)


def _umask() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        status = ""
    if match := re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE):
        return int(match[1], 8)
    value = os.umask(0o077)  # it can only be read by being set, here for a moment
    os.umask(value)
    return value


def _writer() -> str:
    """Return a name of this process that no other has: machine, process id and start time."""
    return f"{_machine_hash()}-{os.getpid()}-{start_of(os.getpid())}"


def _machine_hash() -> str:
    return hash_text(json.dumps(machine()), 8)


def _remove_stale(path: Path) -> None:
    """Remove the temporaries of `path` whose writers no longer run, for all that can be known."""
    start = f".{path.stem}."
    pattern = re.compile(re.escape(start) + WRITER_PATTERN + re.escape(path.suffix))
    for name in os.listdir(path.parent):
        if name.startswith(start) and (writer := pattern.fullmatch(name)):
            # Another process may remove it at the same time, and it may be somebody else's.
            with suppress(OSError):
                if _is_stale(path.with_name(name), *writer.groups()):
                    _remove(path.with_name(name))


def _is_stale(temporary: Path, where: str, pid: str, started: str) -> bool:
    if where == _machine_hash() and started.isdigit():
        return not is_running(int(pid), started)
    below = temporary.rglob("*") if temporary.is_dir() else ()
    # Not the time of writing, which a copy or a link may take over from its source.
    changed = max(one.lstat().st_ctime for one in (temporary, *below))
    return time.time() - changed > MAX_TEMPORARY_AGE_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_stream(path: str | Path) -> None:
    """Raise InputError for a pipe, a socket or a device, whose bytes can be read once or for ever.

    Inputs are read more than once: to see what they are, to read them, for their checksum. Raises
    OSError for a path that leads nowhere.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(
            f"{path} is a pipe, a socket or a device, not a file: write what it holds into a file "
            "and give that."
        )


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, keys in the order given."""
    with atomic_path(path) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


def json_text(value: Any) -> str:
    """Return `value` as indented JSON with a line end, keys in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: str | Path) -> Any:
    """Return the value of a JSON file; raise InputError for one that is missing, or no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise InputError(f"There is no file {path}; get or make it, or correct the path.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file ({error}); get or make it again.") from None


def read_facts(path: str | Path, keys: Iterable[str]) -> dict[str, Any]:
    """Return the object of a JSON file; raise InputError where it is none, or lacks one of `keys`.

    And for whatever `read_json` refuses.
    """
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise InputError(f"{path} is no JSON object; get or make it again.")
    if missing := [key for key in keys if key not in facts]:
        raise InputError(f"{path} has no key {missing[0]}; get or make it again.")
    return facts


def check_separator(
    path: str | Path, header: Sequence[str], right: str = "tabs or commas", wrong: str = ";"
) -> None:
    """Raise InputError where a header of one cell holds one of the marks `wrong`.

    Excel writes semicolons into CSV where the comma is the decimal sign.
    """
    mark = next((mark for mark in wrong if mark in "".join(header)), None)
    if len(header) == 1 and mark:
        raise InputError(
            f"{path}: its columns are separated by '{mark}'; separate them by {right}."
        )


def read_tsv(
    path: str | Path,
    columns: Collection[str] = (),
    *,
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
    remedy: str = REBUILD,
    file: IO[str] | None = None,
    **options: Any,
) -> "pd.DataFrame":
    """Return a table of tab-separated values with a header; `options` are those of pandas.

    It is read from `file` where that is open already, and `path` then only names it.
    Raises InputError, which ends with the `remedy`, for a file that cannot be read or is no table,
    one whose rows have more cells than its header, which pandas would read under the wrong names,
    one that lacks one of `columns`, `numbers` or `whole`, and one where a column of `numbers` holds
    something else or a column of `whole` something else than whole numbers.
    """
    import pandas as pd
    from pandas.api.types import is_integer_dtype, is_numeric_dtype

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(file or path, sep="\t", index_col=False, **options)
    except pd.errors.ParserWarning:
        raise InputError(
            f"{path}: its rows have more cells than its header, as with names of rows in a column "
            f"that has none; {remedy}."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}; {remedy}.") from None
    # What pandas raises depends on where the damage is; ParserError and the like are ValueErrors.
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise InputError(
            f"{path}: this is no table that can be read ({reason}); {remedy}."
        ) from None
    for column in (*columns, *numbers, *whole):
        if column not in table:
            raise InputError(f"{path}: the column {column} is missing; {remedy}.")
    if len(table):  # pandas gives the columns of a table without rows no type
        for names, holds, what in (
            (numbers, is_numeric_dtype, "a number"),
            (whole, is_integer_dtype, "a whole number"),
        ):
            if wrong := next((name for name in names if not holds(table[name])), None):
                raise InputError(f"{path}: a cell of the column {wrong} is not {what}; {remedy}.")
    return table


def hash_facts(facts: Any, digits: int, *, compact: bool = False) -> str:
    """Return the first hexadecimal digits of the sha256 of facts as JSON, keys in order.

    `compact` leaves out the blanks: another text, and so another hash.
    """
    separators = (",", ":") if compact else None
    return hash_text(json.dumps(facts, sort_keys=True, separators=separators), digits)


def hash_text(text: str, digits: int) -> str:
    """Return the first hexadecimal digits of the sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal."""
    return hash_of(path, "sha256")


def hash_of(path: str | Path, algorithm: str) -> str:
    """Return the digest of a file's bytes by a `hashlib` algorithm's name, hexadecimal."""
    refuse_stream(path)
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
