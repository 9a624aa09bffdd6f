"""Which process one is, said so that others can tell later whether it still runs."""

import os
import re
import socket
from pathlib import Path


def machine() -> dict[str, str | None]:
    """Return what tells this machine's process numbers from all others: host, namespace, boot.

    Names are not unique, every machine's first namespace has the same number, and containers share
    the boot with their host; `namespace` and `boot` are None where there is no /proc.
    """
    return {"host": socket.gethostname(), "namespace": _namespace(), "boot": _boot()}


def start_of(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks; None when there is no such process.

    Numbers are used again, the pair of number and beginning is not. A zombie counts as gone.
    Where the beginning cannot be seen, "running" stands for it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "running" if _answers(pid) else None
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    state, *rest = re.sub(r"^.*\) ", "", stat, flags=re.DOTALL).split()
    return None if state in "ZX" else rest[18]


def is_running(pid: int, started: str | None) -> bool:
    """Return whether the process of this number that began then runs on this machine."""
    return start_of(pid) in (started, "running")


def is_orphan(job: int) -> bool:
    """Return whether this process works for one, of number `job`, that has ended."""
    return job not in (os.getpid(), os.getppid())


def _answers(pid: int) -> bool:
    """Return whether there is a process of this number, be it hidden or somebody else's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot() -> str | None:
    """Return what this machine drew when it was started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _namespace() -> str | None:
    """Return the kernel's name of our process numbering; containers have their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
