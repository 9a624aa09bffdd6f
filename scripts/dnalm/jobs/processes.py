"""Identity of a process: machine, process id and start time, and whether it still runs."""

import os
import re
import socket
from pathlib import Path


def machine() -> dict[str, str | None]:
    """Return the scope in which a process id is unique: host, PID namespace and boot id.

    Host names are not unique, every machine's first namespace has the same id, and containers share
    the boot with their host; `namespace` and `boot` are None where there is no /proc.
    """
    return {"host": socket.gethostname(), "namespace": _namespace(), "boot": _boot()}


def start_of(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot, None when there is none.

    Process ids are reused, pairs of process id and start time are not. A zombie counts as gone.
    Where the start time cannot be read, "running" stands for it. Source: proc(5), field 22.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return "running" if _answers(pid) else None
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    state, *rest = re.sub(r"^.*\) ", "", stat, flags=re.DOTALL).split()
    return None if state in "ZX" else rest[18]


def is_running(pid: int, started: str | None) -> bool:
    """Return whether the process with this id and start time runs on this machine."""
    return start_of(pid) in (started, "running")


def _answers(pid: int) -> bool:
    """Return whether a process with this id exists, be it hidden or another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot() -> str | None:
    """Return the random id that the kernel drew at boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _namespace() -> str | None:
    """Return the PID namespace of this process; containers have their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
