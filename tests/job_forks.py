"""Jobs of a workflow by forks of one process that has imported the large packages.

Snakemake runs a script by `sys.executable`. In the runs of `forks.py` that is a client of this
process, which forks, and the fork runs the script with the arguments, folder, environment and open
files of the client. Nothing of ours is imported before, so a job reads the library as it stands;
what a job starts in its turn has an interpreter of its own, but for the ranks of a training.
Runs by interpreters alone are those of `test_module.py` and, slow, `test_commands.py`.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path

# What most jobs wait for, two seconds each time. Nothing that reads the environment while it is
# imported, as huggingface_hub does, and so transformers.
PACKAGES = (
    *("numpy", "pandas", "pyarrow.parquet", "numba", "safetensors.numpy", "snakemake.script"),
    *("scipy.optimize", "scipy.special", "scipy.stats", "joblib", "threadpoolctl"),
    *("sklearn.linear_model", "sklearn.metrics", "sklearn.preprocessing"),
    *("torch", "torch.optim", "torch.utils.data", "torch._dynamo", "torch.distributed.run"),
    "altair",
    *(f"torch.distributed.{part}" for part in ("fsdp", "checkpoint", "tensor", "device_mesh")),
)
# Modules that are run by their name; any other, like the workers of joblib with files of their own,
# has an interpreter.
MODULES = ("torch.distributed.run", "dnalm.benchmark.finetuning.helper")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
# `-I -S`: nothing is imported from elsewhere, as this is started for every job.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
arguments = sys.argv[2:] if sys.argv[1:2] == ["-u"] else sys.argv[1:]
module = arguments[:1] == ["-m"] and arguments[1:2] and arguments[1] in {modules!r}
if module or (arguments and os.path.isfile(arguments[0])):
    server = socket.socket(socket.AF_UNIX)
    server.connect({address!r})
    request = {{"arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [b"f"], [0, 1, 2])
    answers = server.makefile("rw")
    answers.write(json.dumps(request) + "\\n")
    answers.flush()
    child = int(answers.readline())
    for number in {signals!r}:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    code = int(answers.readline())
    if code < 0:
        if -code in {signals!r}:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


class JobForks:
    """The process that is forked for each job, and the program that asks it to."""

    def __init__(self, folder: Path) -> None:
        """Start the process, which listens in `folder` when this returns."""
        address, self.interpreter = folder / "jobs.socket", folder / "python"
        values = {"modules": MODULES, "signals": tuple(map(int, SIGNALS))}
        client = CLIENT.format(python=sys.executable, address=str(address), **values)
        self.interpreter.write_text(client)
        self.interpreter.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(address), str(self.interpreter)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": ""},
        )
        self.process.stdout.readline()

    def close(self) -> None:
        """End the process; jobs that still run go on."""
        self.process.terminate()
        self.process.communicate()


def serve(address: str) -> dict:
    """Fork twice for each connection: the first fork returns exit codes, the second a request."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the first forks
    print(flush=True)
    while True:
        connection, _ = server.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.close()
        _, files, _, _ = socket.recv_fds(connection, 1, 3)
        stream = connection.makefile("rw")
        request = json.loads(stream.readline()) | {"files": files}
        if child := os.fork():
            for file in files:
                os.close(file)
            answer_for(child, connection)
            os._exit(0)
        stream.close()
        connection.close()
        return request


def answer_for(child: int, client: socket.socket) -> None:
    """Send a client the number and the exit code of its fork, which is killed where it has been."""
    ended = os.pidfd_open(child)
    try:
        client.sendall(f"{child}\n".encode())
        ready, _, _ = select.select([ended, client], [], [])
        if ended in ready:
            _, status = os.waitpid(child, 0)
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    except BrokenPipeError:
        ready = []
    if ended not in ready:
        os.kill(child, signal.SIGKILL)


def become(request: dict, interpreter: str) -> None:
    """Give this process what the client has."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["arguments"]
    sys.executable = interpreter  # what starts the ranks of a training, which are forks as well
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    first = os.getcwd() if sys.argv[0] == "-m" else str(Path(sys.argv[0]).parent)
    sys.path[:1] = [first, *filter(None, given)]
    for stream, file in enumerate(request["files"]):
        os.dup2(file, stream)
        os.close(file)


def run() -> int:
    """Run the script or module of the arguments as the program and return its exit code."""
    try:
        if sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(os.path.abspath(sys.argv[0]), run_name="__main__")
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> None:
    """End this process as an interpreter does, but for freeing what it has imported: a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for package in PACKAGES:
        import_module(package)
    gc.freeze()  # what is imported is not looked at, and so not copied, by each fork
    become(serve(sys.argv[1]), sys.argv[2])
    leave(run())
