"""Pre-train one encoder; started by `python`, `torchrun` or `srun` alike."""

import sys

from dnalm.training.launch import main

main(sys.argv)
