"""Check the nodes that are to train an encoder; started by `python`, `torchrun` or `srun` alike."""

import sys

from dnalm.jobs.job import leave
from dnalm.training.check import main

leave(main, sys.argv)
