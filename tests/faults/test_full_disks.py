"""Every rule on a disk without room, and on one with room for at most half of its results."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SEED = 1
DISKS = ("full", "scarce")
PROGRAM = Path(__file__).with_name("faults.py")
# A job that looks for room before it begins says how much there is.
SENTENCE = re.compile(r"ERROR [\w.]+: .*(is full|No space left on device|GB (are )?free)")


def test_a_full_disk_ends_a_job_of_every_rule_in_a_sentence_and_changes_nothing(
    finished, unfinished, tmp_path
):
    (unfinished / "results").mkdir()
    mount = f"mount -t tmpfs -o size=256m none {unfinished / 'results'}"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*command, mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    task = {"folder": str(unfinished), "servers": finished.servers, "seed": SEED}
    task["undisturbed"] = asdict(finished.undisturbed)
    (tmp_path / "task.json").write_text(json.dumps(task))
    arguments = [sys.executable, PROGRAM, tmp_path / "task.json", tmp_path / "report.json"]
    subprocess.run([*command, f'{mount} && exec "$0" "$@"', *arguments], check=True)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["wrong"] == []
    jobs = sorted(f"{rule}.{disk}" for rule in task["undisturbed"]["rules"] for disk in DISKS)
    assert sorted(report["planted"]) == jobs
    assert sorted(report["logged"]) == jobs
    told = {job: text for job, text in report["logged"].items() if not SENTENCE.search(text)}
    assert told == {}
