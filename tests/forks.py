"""Runs of `snakemake` by forks of one process that has imported it, which is half a plan's time.

A fork goes on where a new process stands after these imports, with the command line, folder and
environment that it is given. Nothing of ours is imported before. Its jobs are
forks, too, of another process.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from job_forks import JobForks

# Beside Snakemake and its plug-ins, packages that the library imports when the rules are read.
PACKAGES = ("isal.igzip", "jsonschema", "numba", "requests", "yte")


class Forks:
    """The process that is forked, started when it is first asked, and ended by its closed input."""

    def __init__(self, folder: Path, jobs: JobForks) -> None:
        """Take a folder for files and the process of which the jobs of all runs are forks."""
        self.folder, self.jobs = folder, jobs
        self.process: subprocess.Popen | None = None

    def run(
        self, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess:
        """Return exit code and output, stdout and stderr in one, of `snakemake` with arguments."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": ""},
            )
        request = {
            "arguments": ["snakemake", *arguments],
            "cwd": str(cwd),
            "environment": dict(environment),
            "output": str(self.folder / "output.txt"),
            "interpreter": str(self.jobs.interpreter),
        }
        print(json.dumps(request), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        output = (self.folder / "output.txt").read_text()
        return subprocess.CompletedProcess(arguments, code, stdout=output)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.communicate()


def count_jobs(output: str) -> dict[str, int]:
    """Return {rule: jobs} as the output of a dry run lists them."""
    table = output.split("Job stats:")[-1] if "Job stats:" in output else ""
    rows = (line.split() for line in table.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def become(request: Mapping) -> None:
    """Give this process the folder, environment, arguments and output of a request."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["arguments"]
    # In the place of this file's folder, what the program `snakemake` has.
    programs = str(Path(sys.executable).parent)
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [programs, *filter(None, given)]
    # Snakemake runs scripts by it, and jobs find the programs of its folder first.
    sys.executable = request["interpreter"]
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream, file in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(file, stream)


def serve() -> None:
    """Fork for each line of the input and print the exit code; return in the fork, ready to run."""
    for line in sys.stdin:
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        else:
            become(json.loads(line))
            return
    sys.exit()


if __name__ == "__main__":
    from importlib import import_module

    from snakemake import cli

    for package in PACKAGES:
        import_module(package)
    cli.get_argument_parser()  # imports the plug-ins
    gc.freeze()  # no fork looks at what is imported, which would copy it
    serve()
    cli.main()
