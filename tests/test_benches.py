"""Every bench runs whole at tiny sizes, with results that agree."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parent / "bench"
NAMES = ["tokens", "haplotypes", "loader", "train", "finetune", "probe", "embed", "variants"]
NAMES += ["attention", "products"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_sides_of_a_bench_agree_at_tiny_sizes(name, tmp_path):
    output = tmp_path / "results" / f"{name}.json"
    command = [sys.executable, str(BENCHES / f"{name}.py"), "--output", str(output), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())
    assert rows
    assert all(row["correct"] for row in rows)
    assert all(row["ours"] > 0 for row in rows)


def test_every_bench_of_the_makefile_is_known():
    """Those without a command line of their own are parts of others."""
    texts = {path.stem: path.read_text() for path in BENCHES.glob("*.py")}
    assert {name for name, text in texts.items() if "read_arguments(__doc__)" in text} == set(NAMES)
