"""What the page of an unfinished run says of what is missing, and keeps silent about for it."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnalm.jobs.slurm_messages import describe_end, find_end
from dnalm.report.finished import Expected, Missing
from dnalm.report.method_names import label
from dnalm.report.pages.grids import Grid, make_grid

TAIL_BYTES = 10_000  # of a log, in which its last line is looked for
ALL_METHODS = "all methods"
MAX_LETTERS = 400  # of a log's last line


@dataclass(frozen=True, kw_only=True)
class StoppedJob:
    """A job that has begun and has not left all its files: its rule, wildcards and logs."""

    rule: str
    wildcards: Mapping[str, str]
    log: str
    slurm_log: str | None = None

    @property
    def end(self) -> str:
        """The last line of its own log, and what Slurm says where it has ended the job."""
        end = find_end(self.slurm_log) if self.slurm_log else None
        return " ".join(filter(None, [self.last_line, end and f"({describe_end(end)})"]))

    @property
    def last_line(self) -> str:
        """The last line of the log, '' of an empty one."""
        with open(self.log, "rb") as file:
            file.seek(max(0, os.stat(self.log).st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").split("\n")
        line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return line if len(line) <= MAX_LETTERS else f"{line[:MAX_LETTERS]} …"


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """What is missing of a run: results, jobs that did not leave all their files, other files.

    expected: the results that the run asks for, by task.
    """

    expected: Mapping[str, int]
    missing: Sequence[Missing]
    jobs: Sequence[StoppedJob]
    files: Sequence[str]

    @property
    def finished(self) -> int:
        """The results that are there."""
        return self.asked - len(self.missing)

    @property
    def asked(self) -> int:
        """The results that the run asks for."""
        return sum(self.expected.values())

    @property
    def grid(self) -> Grid:
        """The missing results, those of one method and model and one reason in one row.

        A task of which all are missing for one reason comes first, once for all methods.
        """
        whole = [task for task, own in self._reasons.items() if len(own) == 1]
        whole = [task for task in whole if self._reasons[task].total() == self.expected[task]]
        tasks = defaultdict(list)
        for task in whole:
            (reason,) = self._reasons[task]
            tasks[ALL_METHODS, reason].append(task)
        for one in self.missing:
            if one.task not in whole:
                tasks[label(one.method, one.model), one.reason].append(one.task)
        rows = [[name, ", ".join(own), reason] for (name, reason), own in tasks.items()]
        return make_grid(["method", "missing of these tasks", "why"], rows, first=3)

    @property
    def _reasons(self) -> dict[str, Counter[str]]:
        reasons: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self.missing:
            reasons[one.task][one.reason] += 1
        return reasons

    @property
    def jobs_grid(self) -> Grid:
        """The jobs that left nothing, with the last lines of their logs."""
        rows = [
            [job.rule, ", ".join(job.wildcards.values()), job.end or "(empty)", job.log]
            for job in sorted(self.jobs, key=lambda job: (job.rule, job.log))
        ]
        return make_grid(["rule", "of", "last line of its log", "log"], rows, first=4)


def describe_gaps(
    expected: Sequence[Expected],
    missing: Sequence[Missing],
    jobs: Sequence[Mapping[str, Any]],
    files: Sequence[str],
) -> Gaps:
    """Return the gaps of a run that asks for the results `expected`; `jobs` are of `StoppedJob`."""
    counts = Counter(one.task for one in expected)
    stopped = [StoppedJob(**job) for job in jobs]
    return Gaps(expected=counts, missing=missing, jobs=stopped, files=files)


def mark_gaps(tables: Mapping[str, pd.DataFrame], gaps: Gaps) -> dict[str, pd.DataFrame]:
    """Return the tables without what would take a part of a run for the whole.

    Means over tasks, and verdicts on them, are left out; that a choice is one among the finished
    results of a task alone stands first among what speaks against it.
    """
    if not gaps.missing:
        return dict(tables)
    reproduction, choices = tables["reproduction"], tables["choices"]
    lacking = Counter(one.task for one in gaps.missing)
    cautions = [
        "; ".join(filter(None, [_caution(lacking[task], gaps.expected[task]), said]))
        for task, said in zip(choices["task"], choices["cautions"], strict=True)
    ]
    return {
        **tables,
        "headline": tables["headline"].iloc[:0],
        "reproduction": reproduction[reproduction["reading"] == ""],
        "choices": choices.assign(cautions=pd.Series(cautions, index=choices.index, dtype=object)),
    }


def _caution(missing: int, expected: int) -> str:
    return f"{missing} of the {expected} results of this task are missing" if missing else ""
