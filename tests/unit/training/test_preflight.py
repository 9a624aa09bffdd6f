"""What a pre-flight check finds, in real processes that exchange by gloo."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.training.arguments import Allocation, parse
from dnalm.training.preflight import (
    LIBRARY,
    Facts,
    check_space,
    check_together,
    hash_library,
    try_folder,
)
from dnalm.training.settings import Run

PATIENCE_SECONDS = 600
SCRIPTS = LIBRARY.parent


@pytest.fixture
def config(make_job):
    return EncoderConfig(**Run.read(make_job().folder / "run.json").encoder)


def fact(rank=0, **changes):
    values = {
        "rank": rank,
        "host": f"n{1 + rank // 2}",
        "local_rank": rank % 2,
        "devices": 2,
        "gpu": "NVIDIA A100",
        "python": "3.11.7",
        "torch": "2.13.0",
        "cuda": "13.0",
        "library": "0a1b2c3d4e5f",
        "fault": None,
    }
    return Facts(**values | changes)


def test_processes_that_fit_each_other_and_their_gpus_pass():
    check_together([fact(rank) for rank in range(4)], nodes=2, gpus=2)


def test_unlike_gpus_are_counted_in_one_warning(caplog):
    others = [fact(3, gpu="Tesla V100")]
    check_together([*map(fact, range(3)), *others], nodes=2, gpus=2)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "(3 of NVIDIA A100, 1 of Tesla V100)" in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"torch": "2.12.0"}, "rank 3 on n2 has torch 2.12.0, but rank 0 on n1 has 2.13.0; start"),
        ({"python": "3.12.1"}, "rank 3 on n2 has Python 3.12.1, but rank 0 on n1 has 3.11.7; "),
        ({"cuda": "None"}, "rank 3 on n2 has the CUDA of torch None, but rank 0 on n1 has 13.0; "),
        ({"library": "ffff"}, "rank 3 on n2 has the library scripts/dnalm ffff, but rank 0 on n1"),
        ({"devices": 1}, "rank 3 on n2 sees 1 GPUs, but 2 were asked for on each node; look at"),
        ({"devices": 0}, "rank 3 on n2 sees 0 GPUs, but 2 were asked for on each node; look at"),
        ({"devices": 8}, "rank 3 on n2 sees 8 GPUs, but 2 were asked for on each node; look at"),
        ({"fault": "cannot write in x."}, "rank 3 on n2 cannot write in x."),
    ],
)
def test_what_one_of_four_lacks_is_said_in_a_sentence_that_names_it(changes, sentence):
    facts = [*map(fact, range(3)), fact(3, **changes)]
    with pytest.raises(InputError, match=re.escape(sentence)):
        check_together(facts, nodes=2, gpus=2)


def test_gpus_that_no_process_would_use_are_an_error():
    with pytest.raises(InputError, match="2 processes were started for 4 GPUs"):
        check_together([fact(0), fact(2)], nodes=2, gpus=2)


def test_nobody_asked_for_gpus_so_none_are_missed():
    check_together([fact(rank, devices=0) for rank in range(4)], nodes=1, gpus=0)


def test_the_sum_of_the_library_changes_with_any_of_its_files(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "encoder.py").write_text("a = 1\n")
    (tmp_path / "job.py").write_text("b = 2\n")
    first = hash_library(tmp_path)
    (tmp_path / "notes.txt").write_text("not of the library")
    assert hash_library(tmp_path) == first
    (tmp_path / "model" / "encoder.py").write_text("a = 2\n")
    assert hash_library(tmp_path) != first
    (tmp_path / "model" / "encoder.py").rename(tmp_path / "model" / "moved.py")
    assert hash_library(tmp_path) != first
    assert re.fullmatch("[0-9a-f]{12}", hash_library(LIBRARY))


def test_a_disk_too_small_for_the_checkpoints_is_refused_with_the_size(tmp_path, config):
    huge = replace(config, layers=4, width=2**17, ffn_width=2**20)
    with pytest.raises(
        InputError, match=r"has [\d.]+ GB free, but 3 checkpoints of [\d,]+ weights"
    ):
        check_space(tmp_path, huge, keep_last=2)


def test_checkpoints_that_are_there_already_need_no_room(tmp_path, config):
    weights = sum(parameter.numel() for parameter in Encoder(config).parameters())
    one = 16 * weights  # weights, two moments, an exported copy; four bytes each
    assert check_space(tmp_path, config, keep_last=2)[0] == 3 * one
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "old").write_bytes(b"0" * one)
    assert check_space(tmp_path, config, keep_last=2)[0] == 2 * one
    (tmp_path / "checkpoints" / "older").write_bytes(b"0" * 3 * one)
    assert check_space(tmp_path, config, keep_last=2)[0] == one


def test_a_folder_that_takes_files_is_made_and_left_empty(tmp_path):
    assert try_folder(tmp_path / "a" / "state", "name") is None
    assert list((tmp_path / "a" / "state").iterdir()) == []


def test_a_folder_that_takes_no_files_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    fault = try_folder(tmp_path / "file" / "state", "name")
    assert fault == (
        f"cannot write and rename a file in {tmp_path / 'file' / 'state'}: Not a directory; use "
        "another folder."
    )


EXAMINE = """
import json, logging, os, sys
import torch
from contextlib import closing
from pathlib import Path
from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig
from dnalm.training import preflight
from dnalm.parallel.distributed import Group

state, config, seconds, change = sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:]
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
group = Group({name: os.environ[name] for name in ("RANK", "WORLD_SIZE")})
exec(change)
options = {"nodes": 1, "gpus": 0, "keep_last": 2, "seconds": float(seconds)}
with closing(group):
    try:
        preflight.examine(group, Path(state), EncoderConfig(**config), **options)
    except InputError as error:
        sys.exit(f"Error: {error}")
"""


@pytest.fixture
def examine_two(tmp_path, config, job_forks):
    """Return a function that examines two processes, the second of them changed."""
    program = tmp_path / "examine.py"
    program.write_text(EXAMINE)

    def examine(change="", *, seconds=60, library=SCRIPTS, folder=tmp_path / "state"):
        with socket.create_server(("localhost", 0)) as server:
            port = server.getsockname()[1]
        joining = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        joining |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        processes = []
        for rank, state, scripts, line in (
            ("0", tmp_path / "state", SCRIPTS, ""),
            ("1", folder, library, change),
        ):
            command = [job_forks.interpreter, program, state, json.dumps(asdict(config))]
            names = joining | {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(scripts)}
            environment = {k: v for k, v in os.environ.items() if "SLURM" not in k} | names
            pipes = {"stderr": subprocess.PIPE, "text": True, "env": environment}
            processes.append(subprocess.Popen([*command, str(seconds), line], **pipes))
        return [
            (process.communicate(timeout=PATIENCE_SECONDS)[1], process.returncode)
            for process in processes
        ]

    return examine


def sentences(results):
    """Return what each process said it ended with, the same in all, and that all ended with 1."""
    found = {re.search("^Error: (.*)$", text, re.MULTILINE).group(1) for text, _ in results}
    assert [code for _, code in results] == [1, 1]
    (sentence,) = found
    return sentence


def test_two_processes_that_fit_pass_with_one_line_and_leave_nothing(examine_two, tmp_path):
    (text, code), (_, second) = examine_two()
    assert (code, second) == (0, 0), text
    (line,) = (line for line in text.splitlines() if "Pre-flight" in line)
    host, version = re.escape(socket.gethostname()), re.escape(torch.__version__)
    assert re.search(rf"2 processes on {host}, Python [\d.]+, torch {version}, CUDA", line)
    assert re.search(r"0 GPUs visible to each, none asked for; [\d.]+ GB free in ", line)
    assert list((tmp_path / "state").iterdir()) == []


def test_another_torch_in_one_process_stops_both_with_the_same_sentence(examine_two):
    sentence = sentences(examine_two("torch.__version__ = '2.12.1'"))
    host, version = socket.gethostname(), torch.__version__
    assert f"rank 1 on {host} has torch 2.12.1, but rank 0 on {host} has {version}; " in sentence


def test_a_library_with_another_comment_stops_both(examine_two, tmp_path):
    other = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, other, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "dnalm" / "jobs" / "job.py").open("a") as file:
        file.write("# another\n")
    sentence = sentences(examine_two(library=other))
    assert re.match(r"rank 1 on \S+ has the library scripts/dnalm \w+, but rank 0 on ", sentence)


def test_a_folder_that_is_not_the_same_for_both_stops_both(examine_two, tmp_path):
    """As where each node has a disk of its own at that place."""
    results = examine_two("preflight.MAX_VISIBILITY_SECONDS = 1", folder=tmp_path / "private")
    assert [code for _, code in results] == [1, 1]
    sentence = r"^Error: rank 1 on \S+ does not see what rank 0 writes in "
    assert all(re.search(sentence, text, re.MULTILINE) for text, _ in results)


def test_a_folder_that_one_cannot_write_stops_both(examine_two, tmp_path):
    (tmp_path / "file").write_text("")
    sentence = sentences(examine_two(folder=tmp_path / "file" / "state"))
    assert re.match(r"rank 1 on \S+ cannot write and rename a file in ", sentence)


def test_a_process_that_never_answers_ends_the_waiting_one_with_a_sentence(examine_two):
    # Its own patience is longer, or it might be the first to end.
    late = "Group.sum = lambda *_: __import__('time').sleep(7); seconds = 60"
    (text, code), _ = examine_two(late, seconds=4)
    assert code == 1
    assert "Error: rank 0 on " in text
    assert "got no answer from all 2 processes within 4 s; see which of them is missing" in text


def test_a_process_that_dies_ends_the_other_with_a_sentence(examine_two):
    (text, code), (_, second) = examine_two("Group.sum = lambda *_: os._exit(9)")
    assert (code, second) == (1, 9)
    sentence = r"^Error: rank 0 on \S+ got no answer from all 2 processes: \S"
    assert re.search(sentence, text, re.MULTILINE)
    assert "Traceback" not in text


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_whose_others_never_start_ends_with_a_sentence(rank, job_forks, tmp_path):
    program = tmp_path / "join.py"
    program.write_text(
        "import os\nfrom dnalm.parallel.distributed import Group\n"
        "names = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')\n"
        "Group({name: os.environ[name] for name in names}, seconds=2)"
    )
    with socket.create_server(("localhost", 0)) as server:
        port = str(server.getsockname()[1])
    joining = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    done = subprocess.run(
        [job_forks.interpreter, program],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | joining | {"PYTHONPATH": str(SCRIPTS), "CUDA_VISIBLE_DEVICES": ""},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    sentence = rf"Error: rank {rank} on \S+ did not meet all 2 processes at localhost:{port} "
    assert re.match(sentence, done.stderr.split("\n")[-2]), done.stderr


def test_a_whole_run_that_asked_for_a_gpu_it_does_not_see_trains_nothing(make_job):
    if torch.cuda.is_available():
        pytest.skip("this machine has the GPU")
    job = make_job()
    job.command.extend(["--gpus-per-node", "1", "--runtime-minutes", "60"])
    with pytest.raises(InputError, match=r"rank 0 on \S+ sees 0 GPUs, but 1 were asked for"):
        job.train()
    assert not (job.state / "history.jsonl").exists()
    assert not os.listdir(job.state)


def start(job, *options, **variables):
    """Run a job's command as a batch script of Slurm would; return its exit code and errors."""
    environment = {key: value for key, value in os.environ.items() if "SLURM" not in key}
    done = subprocess.run(
        [*job.command, *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment | variables,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr


TWO_NODES = ("--nodes", "2", "--runtime-minutes", "60")


def test_without_a_scheduler_a_machine_is_taken_as_it_is(make_job):
    """Numbers of the configuration are for a scheduler, which has a limit of time."""
    command = make_job().command
    numbers = ["--nodes", "16", "--gpus-per-node", "8"]
    assert parse(command[2:] + numbers)[1] == Allocation(
        nodes=1, gpus_per_node=0, runtime_minutes=0
    )
    granted = parse([*command[2:], *numbers, "--runtime-minutes", "60"])[1]
    assert granted == Allocation(nodes=16, gpus_per_node=8, runtime_minutes=60)


def test_several_nodes_are_refused_outside_of_a_job_and_inside_of_a_step(make_job):
    for variables in ({}, {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0"}):
        code, text = start(make_job(), *TWO_NODES, **variables)
        assert code == 1
        assert text.startswith("Error: Training on 2 nodes has to be started by a batch job of ")
        assert "Traceback" not in text


def test_several_nodes_without_srun_end_with_a_sentence(make_job, tmp_path):
    code, text = start(make_job(), *TWO_NODES, SLURM_JOB_ID="4711", PATH=str(tmp_path))
    assert code == 1
    assert text == f"Error: srun is not on the PATH of {socket.gethostname()}.\n"


def test_several_nodes_are_one_srun_of_a_task_per_process_that_all_meet_here(make_job, tmp_path):
    """A stand-in for srun writes down how it was called; `make test-slurm` has the real one."""
    called = tmp_path / "called"
    (tmp_path / "srun").write_text(f'#!/bin/sh\necho "$MASTER_ADDR $MASTER_PORT $*" > {called}\n')
    (tmp_path / "srun").chmod(0o755)
    job = make_job(lambda run, operation: operation.update(processes=8))
    options = ("--nodes", "16", "--gpus-per-node", "8", "--runtime-minutes", "60")
    code, text = start(job, *options, SLURM_JOB_ID="4711", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert code == 0, text
    host, port, *words = called.read_text().split()
    assert host == socket.gethostname()
    assert 1024 < int(port) < 65536
    step = {"--nodes=16", "--ntasks=128", "--ntasks-per-node=8", "--gpus-per-node=8"}
    assert step <= set(words)
    assert words[words.index(job.command[0]) :] == [*job.command, *options]


def test_a_disk_without_room_is_told_and_no_empty_file_is_left(tmp_path):
    """On tmpfs of one page, filled: the file is made, its content is not."""
    script = """
import os, sys
from pathlib import Path
from dnalm.errors import InputError
from dnalm.training.preflight import _write_name, try_folder
disk = Path(sys.argv[1])
(disk / "filler").write_bytes(b"x" * os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)
assert "No space left" in try_folder(disk, "name")
try:
    _write_name(disk / "other")
except InputError as error:
    assert "No space left" in str(error)
else:
    sys.exit("nothing was raised")
assert [path.name for path in disk.iterdir()] == ["filler"]
"""
    mount = 'mount -t tmpfs -o size=64k none "$0"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*command, mount, tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    run = [*command, f'{mount} && exec "$@"', tmp_path, sys.executable, "-c", script, tmp_path]
    library = Path(__file__).parents[3] / "scripts"
    subprocess.run(run, check=True, env=os.environ | {"PYTHONPATH": str(library)})
