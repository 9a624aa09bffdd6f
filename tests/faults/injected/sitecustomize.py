"""What every Python process of a run under test loads before its program: it plants faults.

Only jobs of rules do anything, and only where DNALM_FAULTS names a folder. Each notes the names
that it gives to files. The first jobs of a rule take one fault each (a file `<rule>.<fault>` with
their process id) and stop themselves (SIGSTOP): where their disk is to be full at the start, where
they are to be killed right before the last of their results gets its name. Who watches does the
rest.
"""

import os
import re
import signal
import sys
import time

# Set by who watches: the faults in the order in which the jobs of a rule take them.
AT_START = ("full", "scarce")
# How the name of the rule stands in the text of a script that Snakemake has prepared: pickled, its
# length, less than 32 letters, in one byte.
PICKLED_RULE = re.compile(r"\\x8c\\x04rule\\x94\\x8c(?:\\x[01][0-9a-f]|\\[tnr])(\w+)\\x94")


def find_rule() -> str | None:
    """Return the rule whose script this process runs; some rules share one.

    A script that is started in a shell does not hold it, and is named after its rule.
    """
    for argument in sys.orig_argv[1:3]:
        folder, name = os.path.split(argument)
        if os.path.basename(folder) == "scripts" and name.endswith(".py"):
            with open(argument, encoding="utf-8") as file:
                found = PICKLED_RULE.search(file.read())
            return found[1] if found else name.split(".")[-2]
    return None


def take_fault(folder: str, rule: str) -> str | None:
    """Return the first fault that no job of the rule has taken yet, None when all are taken."""
    with open(os.path.join(folder, "faults")) as file:
        faults = file.read().split()
    for fault in faults:
        try:
            number = os.open(
                os.path.join(folder, f"{rule}.{fault}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL
            )
        except FileExistsError:
            continue
        os.write(number, str(os.getpid()).encode())
        os.close(number)
        return fault
    return None


def stop(job: int) -> None:
    os.kill(job, signal.SIGSTOP)
    # Of several threads another one may take the signal, and this one go on for a moment.
    time.sleep(0.2)


def plant(folder: str, rule: str) -> None:
    fault = take_fault(folder, rule)
    with open(os.path.join(folder, "last_names")) as file:
        last_names = set(file.read().splitlines())
    notes = os.open(os.path.join(folder, "names"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    job = os.getpid()

    def look(event: str, arguments: tuple) -> None:
        if event != "os.rename" or os.getpid() != job:
            return
        name = os.path.relpath(os.fsdecode(arguments[1]))
        if name in last_names and fault is not None and fault not in AT_START:
            stop(job)
        os.write(notes, f"{rule}\t{job}\t{name}\n".encode())

    sys.addaudithook(look)
    if fault in AT_START:
        stop(job)


if (folder := os.environ.get("DNALM_FAULTS")) and (rule := find_rule()):
    plant(folder, rule)
