"""A process that helps another one to fine-tune a sharded encoder; `ranks` starts it."""

import json
import os
import sys
from collections import deque
from contextlib import closing

from dnalm.benchmark.finetuning.train import join
from dnalm.jobs.job import job, leave
from dnalm.jobs.workers import end_with
from dnalm.parallel.distributed import Group, find_environment


def main() -> None:
    """Take part in the task that stands on standard input, as `dnalm.benchmark.finetuning.train`.

    What it finds is kept by the first process; errors are said by all.
    """
    end_with(os.getppid())
    task = json.load(sys.stdin)
    with job(os.devnull), closing(Group(find_environment(os.environ))) as group:
        deque(join(task, group), maxlen=0)


if __name__ == "__main__":
    leave(main)
