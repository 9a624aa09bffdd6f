"""A short campaign over every target, and planted faults that the harness has to find."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")]),
    "OMP_NUM_THREADS": "1",
}
PLANTED = """
import ctypes, os, sys, time
from pathlib import Path
from dnalm.errors import InputError
from fuzz import campaign, verdict
from fuzz.campaign import run
from fuzz.case import Case
from fuzz.target import Target

kept = []

def bare(path, out):
    if b"x" in path.read_bytes():
        raise ValueError("bare")

def wrong(path, out):
    return path.read_bytes().count(b"A")

def right(path, found):
    data = path.read_bytes()
    return "" if found == data.upper().count(b"A") else f"{found} letters"

def refuse(sentence, leave=""):
    def read(path, out):
        if b"x" in path.read_bytes():
            if leave:
                (out / leave).write_text("half")
            raise InputError(sentence.format(path=path))
    return read

def crash(path, out):
    if b"x" in path.read_bytes():
        ctypes.string_at(0)

def leak(path, out):
    if b"x" in path.read_bytes():
        kept.append(open(path))

def hang(path, out):
    while b"x" in path.read_bytes():
        pass

def sleep(path, out):
    if b"x" in path.read_bytes():
        time.sleep(1000)

def memory(path, out):
    if b"x" in path.read_bytes():
        return bytearray(1 << 40)

def generate(random, size):
    return "".join(random.choices("ACa", k=size)).encode()

verdict.SECONDS, campaign.SILENT_SECONDS, campaign.MOST_CRASHES = 0.2, 1, 2
seeds = (b"ACGT\\nACGT\\n",)
mutate = (lambda data, random: data[:5] + (b"x" if random.random() < 0.5 else b"") + data[5:],)
reads = {
    "bare": bare, "crash": crash, "leak": leak, "hang": hang, "sleep": sleep, "memory": memory,
    "long": refuse("{path}: " + "a b " * 300 + "."),
    "inside": refuse("{path}: <object object at 0x7f0> is wrong."),
    "nameless": refuse("The file is wrong; correct it."),
    "left": refuse("{path}: it is wrong; correct it.", leave="result.tsv"),
    "fine": refuse("{path}: it is wrong; correct it."),
}
targets = [Target(name=name, read=read, seeds=seeds, mutate=mutate) for name, read in reads.items()]
targets.append(
    Target(name="wrong", read=wrong, seeds=seeds, mutate=mutate, generate=generate, oracle=right)
)
options = {"seed": 1, "seconds": 44, "least": 12, "most": 12}
for tally in run(targets, **options, kept=[], faults=Path(sys.argv[1])):
    print(tally.target, tally.faults)
"""
SAID = {
    "bare": "ValueError: bare",
    "crash": "ended by SIGSEGV",
    "leak": "an open file is left behind",
    "hang": "takes more than 0.2 seconds",
    "sleep": "no alarm wakes it",
    "memory": "MemoryError",
    "long": "more than 800 letters",
    "inside": "the inside of a program",
    "nameless": "does not name the file",
    "left": "['result.tsv'] is left",
    "wrong": "read otherwise",
}


def run_python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return the faults that a campaign finds by target, and their texts and inputs."""
    folder = tmp_path_factory.mktemp("planted")
    program = folder / "planted.py"
    program.write_text(PLANTED)
    done = run_python(str(program), str(folder / "faults"))
    assert done.returncode == 0, done.stdout
    counts = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    files = {path.name.split("-")[0]: path for path in (folder / "faults").glob("*.case")}
    return counts, files


@pytest.mark.parametrize("name", SAID)
def test_a_planted_fault_is_found_and_said_with_its_input(planted, name):
    counts, files = planted
    assert int(counts[name]) > 0
    head, _, body = files[name].read_bytes().partition(b"\n")
    assert SAID[name].encode() in head
    # The smallest input is the one letter that does it; of a crash, the input as it was.
    smallest = {"crash": b"x", "sleep": b"x", "wrong": b"a"}.get(name, body)
    assert smallest in body
    assert name in ("crash", "leak", "sleep") or len(body) == 1


def test_sentences_that_are_right_are_no_fault(planted):
    counts, files = planted
    assert counts["fine"] == "0"
    assert "fine" not in files


def test_every_reader_stands_a_few_hundred_inputs(tmp_path):
    limits = ("--minutes", "0.02", "--least", "10", "--most", "400", "--seed", "1")
    done = run_python("-m", "fuzz", *limits, "--faults", str(tmp_path))
    assert done.returncode == 0, done.stdout[-5000:]
    assert "0 faults (seed 1)" in done.stdout
