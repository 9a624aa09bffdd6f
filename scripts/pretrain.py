"""Pre-train one encoder; started by `python`, `torchrun` or `srun` alike."""

import sys

from dnalm.jobs.job import leave
from dnalm.training.launch import main

# Threads of torch that are still awake while the interpreter is taken down have aborted it, which
# fails a job whose results are written.
leave(main, sys.argv)
