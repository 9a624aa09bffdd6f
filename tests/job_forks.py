"""Jobs of a workflow by forks of one process that has imported the large packages.

Snakemake runs a script by `sys.executable`. In the runs of `forks.py` that is a client of this
process, which forks, and the fork runs the script with the arguments, folder, environment and open
files of the client. Nothing of ours is imported before, so a job reads the library as it stands;
what a job starts in its turn has an interpreter of its own. A run by interpreters alone is that of
the fixture `tiny_run`.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path

# What most jobs wait for, two seconds each time.
PACKAGES = (
    *("numpy", "pandas", "pyarrow.parquet", "numba", "safetensors.numpy", "snakemake.script"),
    *("scipy.optimize", "scipy.special", "scipy.stats", "joblib", "threadpoolctl"),
    *("sklearn.linear_model", "sklearn.metrics", "sklearn.preprocessing"),
    *("torch", "torch.optim", "torch.utils.data"),
)
# `-I -S`: nothing is imported from elsewhere, as this is started for every job.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:2] and os.path.isfile(sys.argv[1]):
    server = socket.socket(socket.AF_UNIX)
    server.connect({address!r})
    request = {{"arguments": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [b"f"], [0, 1, 2])
    answers = server.makefile("rw")
    answers.write(json.dumps(request) + "\\n")
    answers.flush()
    child = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    sys.exit(int(answers.readline()) % 256)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


class JobForks:
    """The process that is forked for each job, and the program that asks it to."""

    def __init__(self, folder: Path) -> None:
        """Start the process, which listens in `folder` when this returns."""
        address, self.interpreter = folder / "jobs.socket", folder / "python"
        self.interpreter.write_text(CLIENT.format(python=sys.executable, address=str(address)))
        self.interpreter.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": ""},
        )
        self.process.stdout.readline()

    def close(self) -> None:
        """End the process; jobs that still run go on."""
        self.process.terminate()
        self.process.communicate()


def serve(address: str) -> str:
    """Fork twice for each connection: the first fork returns exit codes, the second a script."""
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
        request = json.loads(stream.readline())
        if child := os.fork():
            stream.write(f"{child}\n")
            stream.flush()
            _, status = os.waitpid(child, 0)
            stream.write(f"{os.waitstatus_to_exitcode(status)}\n")
            stream.flush()
            os._exit(0)
        stream.close()
        connection.close()
        return become(request, files)


def become(request: dict, files: list[int]) -> str:
    """Give this process what the client has, and return the script."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["arguments"]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *filter(None, given)]
    for stream, file in enumerate(files):
        os.dup2(file, stream)
        os.close(file)
    return sys.argv[0]


def run(script: str) -> int:
    """Run a script as the program of this process and return its exit code."""
    try:
        runpy.run_path(os.path.abspath(script), run_name="__main__")
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
    leave(run(serve(sys.argv[1])))
