"""A full disk or memory ends in one sentence, and what was there before is intact."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch

from dnalm.errors import NoSpaceError
from dnalm.files import atomic_path, write_json
from dnalm.genome.arrays import ArrayWriter, create_array
from dnalm.jobs.exhaustion import describe_exhaustion
from dnalm.model.tensors import save_arrays

SCRIPTS = Path(__file__).parents[3] / "scripts"
NUMBERS = np.random.default_rng(0).integers(0, 255, 3_000_000, dtype=np.uint8)
TABLE = pd.DataFrame({"a": NUMBERS[:600_000], "b": NUMBERS[600_000:1_200_000]})


def write_memory_map(path: Path) -> None:
    array = create_array(path, np.uint8, NUMBERS.shape)
    array[:] = NUMBERS
    array.flush()


def write_rows(path: Path) -> None:
    with ArrayWriter(path, np.uint8, None) as array:
        array.write(NUMBERS)


WRITERS = {
    "text": lambda path: path.write_text("x" * 3_000_000),
    "json": lambda path: write_json(path.with_suffix(".inner.json"), NUMBERS.tolist()),
    "tsv": lambda path: TABLE.to_csv(path, sep="\t"),
    "parquet": lambda path: pq.write_table(pa.table({"a": NUMBERS}), path, compression=None),
    "pandas parquet": lambda path: pd.DataFrame({"a": NUMBERS}).to_parquet(path),
    "npy": lambda path: np.save(path, NUMBERS),
    "npy in rows": write_rows,
    "npy in a memory map": write_memory_map,
    "safetensors": lambda path: safetensors.numpy.save_file({"a": NUMBERS}, path),
    "arrays": lambda path: save_arrays({"a": NUMBERS}, path.with_suffix(".inner"), {}),
    "torch": lambda path: torch.save({"a": torch.from_numpy(NUMBERS)}, path),
}
# Fills a file system of its own but for 1 MB, and writes 3 MB with each of the writers.
FULL = """
import json, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
import test_exhaustion as here
from dnalm.errors import NoSpaceError
from dnalm.files import atomic_path

said = {{}}
for name, write in here.WRITERS.items():
    path = Path({folder!r}) / "result.npy"
    path.write_text("before")
    try:
        with atomic_path(path) as temporary:
            write(temporary)
        said[name] = "written"
    except NoSpaceError as error:
        said[name] = str(error)
    except BaseException as error:
        said[name] = repr(error)
    assert path.read_text() == "before", name
    left = [one.name for one in Path({folder!r}).iterdir()]
    assert left == ["result.npy"], (name, left)
print(json.dumps(said))
"""


def test_every_writer_on_a_full_disk_ends_in_a_sentence_and_keeps_the_old_file(tmp_path):
    """In a mount namespace of its own, where a file system of 2 MB can be mounted."""
    folder = tmp_path / "full"
    folder.mkdir()
    program = FULL.format(tests=str(Path(__file__).parent), folder=str(folder))
    mounted = f'mount -t tmpfs -o size=2m none {folder} && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted]
    probe = [*command[:-1], f"mount -t tmpfs -o size=2m none {folder}"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [*command, sys.executable, program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert list(said) == list(WRITERS)
    for name, sentence in said.items():
        assert "is full" in sentence, (name, sentence)
        assert sentence.endswith("make room and start again."), name


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, number):
    path = tmp_path / "x.json"
    write_json(path, "before")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(NoSpaceError, match=r"x.json: the disk of .* is full, or your quota"):
        write_half()
    assert json.loads(path.read_text()) == "before"
    assert os.listdir(tmp_path) == ["x.json"]


def test_another_error_is_passed_on_as_it_is(tmp_path):
    for error in (ValueError("No space left on device"), OSError(errno.EIO, "broken")):
        with pytest.raises(type(error)) as raised, atomic_path(tmp_path / "x"):
            raise error
        assert raised.value is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory ran out (MemoryError)"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), "memory ran out (CUDA out of"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "memory ran out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory ran out"),
        (OSError(errno.ENOSPC, "No space left", "/x/y"), "/x/y could not be written: the disk is"),
        (ValueError("out of memory"), None),
        (KeyError("x"), None),
    ],
)
def test_errors_of_exhausted_memory_and_disks_are_known_by_what_they_are(error, words):
    sentence = describe_exhaustion(error)
    assert sentence is None if words is None else sentence.startswith(words)


def test_an_allocation_that_numpy_refuses_is_known():
    with pytest.raises(MemoryError) as raised:
        np.zeros(1 << 60, np.uint8)
    assert describe_exhaustion(raised.value).startswith("memory ran out (Unable to allocate")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_and_folders_follow_the_umask_whatever_writes_them(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_arrays({"a": NUMBERS[:10]}, tmp_path / "x.safetensors", {})
        with atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir(mode=0o700)
            safetensors.numpy.save_file({"a": NUMBERS[:10]}, temporary / "y.safetensors")
    finally:
        os.umask(before)
    for name, full in (
        ("x.safetensors", 0o666),
        ("folder", 0o777),
        ("folder/y.safetensors", 0o666),
    ):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == full & ~umask, name
