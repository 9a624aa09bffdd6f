"""Why Slurm refused or ended jobs, from what it and Snakemake wrote, and which setting to change.

Snakemake prints all of it, a hundred lines for each job. Slurm says it in the words that are looked
for here: those of sbatch and slurmstepd, and the job states of its manual page squeue(1).
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TAIL_BYTES = 20_000  # of a log of Slurm
ANNOUNCED = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<facts>(?: {4}\S.*\n)+)", re.MULTILINE)
FAILED = re.compile(
    r"^Error in rule (?P<rule>\w+):\n {4}message: (?P<message>(?s:.*?))\n"
    r"(?P<facts> {4}jobid: .*\n(?: {4}\S.*\n)+)",
    re.MULTILINE,
)
STATE = re.compile(r"SLURM status is: '(\w+)")
REFUSED = re.compile(r"sbatch failed\. The error message was '(.*?)'\.$", re.MULTILINE | re.DOTALL)
PREFIX = re.compile(r"sbatch: error: (?:Batch job submission failed: )?")
TIME, MEMORY = "TIMEOUT", "OUT_OF_MEMORY"
# What slurmstepd writes into the log of a job that it ends: Slurm may call such a job FAILED.
ENDED = {
    TIME: re.compile(r"slurmstepd.*DUE TO TIME LIMIT"),
    MEMORY: re.compile(r"slurmstepd.*(?:exceeded memory limit|oom.kill|out.of.memory)", re.I),
}
RESOURCES = {TIME: "runtime", MEMORY: "mem_mb"}
# What stands in a refusal, and what to do then; the first that fits.
ADVICE = {
    r"partition name|invalid partition": (
        "say which partitions there are, by DNALM_CPU_PARTITION and DNALM_GPU_PARTITION (`sinfo` "
        "lists them)"
    ),
    r"account": "say which account to use by DNALM_SLURM_ACCOUNT (`sacctmgr show associations`)",
    r"qos": "give slurm-qos in the profile a name that `sacctmgr show qos` lists",
    r"feature": "change `constraint` of this rule in the profile (`sinfo --format=%f` lists all)",
    r"memory specification": "lower `mem_mb` of this rule in the profile: no node has so much",
    r"cpu count": "lower this rule's number in set-threads of the profile: no node has so many",
    r"time limit|--time": "lower `runtime` of this rule in the profile: the partition allows less",
    r"gres|node configuration": (
        "lower what this rule asks for in the profile, `gpu`, `nodes`, `mem_mb` or its threads, or "
        "name another partition: no node has all of it"
    ),
}
OTHERWISE = "change the resources of this rule in the profile"


def explain_messages(text: str) -> list[str]:
    """Return a sentence for each job in a log of Snakemake that Slurm refused, or ended itself.

    It says which job, what it had asked for and which setting to change. Jobs that failed in their
    own code, and all that did not run on Slurm, have none: their logs say why.
    """
    asked = {_outputs(found["facts"]): found["facts"] for found in ANNOUNCED.finditer(text)}
    sentences = [
        sentence
        for found in FAILED.finditer(text)
        for sentence in _explain(found, asked.get(_outputs(found["facts"]), ""))
    ]
    return list(dict.fromkeys(sentences))  # retries fail alike


def find_end(log: str | Path) -> str | None:
    """Return TIMEOUT or OUT_OF_MEMORY where the log of a Slurm job says that this ended it."""
    with suppress(OSError):
        text = Path(log).read_bytes()[-TAIL_BYTES:].decode("utf-8", errors="replace")
        return next((end for end, pattern in ENDED.items() if pattern.search(text)), None)
    return None


def describe_end(end: str) -> str:
    """Return the words for TIMEOUT or OUT_OF_MEMORY, and the resource to raise."""
    what = {TIME: "at its time limit", MEMORY: "for taking more memory than it had asked for"}
    return f"ended by Slurm {what[end]}: raise `{RESOURCES[end]}` of its rule in the profile"


def _explain(found: re.Match[str], asked: str) -> Iterator[str]:
    name = f"{found['rule']} ({_outputs(found['facts']).split(', ')[0]})"
    if refusal := REFUSED.search(found["message"]):
        said = "; ".join(dict.fromkeys(PREFIX.sub("", refusal[1]).splitlines()))
        yield f"Slurm refused {name}: '{said}'; {_advise(said)}."
    elif state := STATE.search(found["message"]):
        logs = _field(found["facts"], "log").removesuffix(" (check log file(s) for error details)")
        ends = [state[1], *map(find_end, logs.split(", "))]
        if end := next((end for end in ends if end in ENDED), None):
            resource = RESOURCES[end]
            amount = _resource(asked, resource)
            yield f"{name} was {describe_end(end)}{amount and f', now {resource}={amount}'}."


def _advise(said: str) -> str:
    fits = (advice for mark, advice in ADVICE.items() if re.search(mark, said, re.IGNORECASE))
    return next(fits, OTHERWISE)


def _outputs(facts: str) -> str:
    return _field(facts, "output")


def _field(facts: str, name: str) -> str:
    found = re.search(rf"^ {{4}}{name}: (.*)$", facts, re.MULTILINE)
    return found[1] if found else ""


def _resource(facts: str, name: str) -> str:
    found = re.search(rf"\b{name}=(\d+)", _field(facts, "resources"))
    return found[1] if found else ""
