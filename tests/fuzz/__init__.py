"""Fuzzing of every reader: whatever the bytes, the right result or one clear sentence.

`python -m fuzz` with `tests` and `scripts` on the path, or `make fuzz`; see CONTRIBUTING.md.
"""

import os

# Inputs are small: threads would only wait for each other. Before numpy and torch are imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
