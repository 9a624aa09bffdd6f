"""Pre-train one encoder; started by `python`, `torchrun` or `srun` alike."""

import logging
import os
import sys

from dnalm.training.launch import main

main(sys.argv)
# Everything is written and the processes have parted. Threads of torch that are still awake while
# the interpreter is taken down have aborted it, which would fail a finished job.
logging.shutdown()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
