"""The parts of tests/bench/gpu.py, which a process of their own works off one after the other."""
