"""A run in which the first jobs of every rule meet a fault, held against an undisturbed one.

What is planted: SIGKILL at a random moment, which takes the job; SIGKILL right before the last
result gets its name, which takes the whole run, as a power cut does; a disk without room; a disk
with room for some of the results. Jobs take their faults in injected/sitecustomize.py.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from contents import contents_of, files_of

RESULTS = "results/faults"
MIRROR = "results/mirror"
CONFIGFILES = ("tests/config.yaml", "tests/tiny.yaml", "tests/faults/every_rule.yaml")
# A file can only be put into a mirror afterwards by a run that has fetched it before.
STEPS = (
    (None, ("downloads",)),
    (
        MIRROR,
        (
            *("all", "downloads", "pretrain_summary", "exports", "estimates", "token_shards"),
            *("adapter_exports", "check_cluster", "species_sheet", "report_partial"),
            f"{RESULTS}/genomes/simulated/genome.fa",
            f"{RESULTS}/variants/plain/tiny.tsv.gz",
            *(f"{RESULTS}/models/{name}/weights.safetensors" for name in ("loaded", "hubbed")),
        ),
    ),
)
# Folders of what a job goes on from, which other attempts of it change.
RESUMED = {"partial", "state"}
PAGE_BYTES = 4096
PATIENCE_SECONDS = 900
LIST_RULES = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings
with SnakemakeApi(OutputSettings(stdout=True)) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(),
        config_settings=ConfigSettings(configfiles=[Path(one) for one in sys.argv[1:]]),
        snakefile=Path("Snakefile"),
    )
    rules = [rule.name for rule in workflow._workflow.rules if not rule.norun]
    Path("rules.json").write_text(json.dumps(rules))
"""


@dataclass
class Undisturbed:
    """What a run that nothing disturbed made: per rule its results, logs, seconds of a job."""

    rules: list[str]
    outputs: dict[str, list[str]]
    logs: dict[str, list[str]]
    seconds: dict[str, float]
    named: list[str]
    last_names: list[str]
    contents: dict[str, str]
    pages: dict[str, int]


@dataclass
class Report:
    """What faults were planted, as `rule.fault`, and what was found wrong, in sentences."""

    planted: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    logged: dict[str, str] = field(default_factory=dict)


# -- Runs ------------------------------------------------------------------------------------------


class Run:
    """A copy of the workflow, run in the steps above, with faults as given."""

    def __init__(
        self, folder: Path, servers: tuple[str, str], faults: tuple[str, ...], last_names: list[str]
    ):
        self.folder, (self.address, self.hub) = folder, servers
        self.notes = folder / "noted"
        self.notes.mkdir()
        (self.notes / "faults").write_text(" ".join(faults))
        (self.notes / "last_names").write_text("\n".join(last_names))
        self.environment = os.environ | {
            "no_proxy": "127.0.0.1",
            "DNALM_FAULTS": str(self.notes),
            "PYTHONPATH": os.pathsep.join(
                str(folder / path) for path in ("tests/faults/injected", "tests")
            ),
        }

    def command(self, mirror: str | None, targets: tuple[str, ...], *options: str) -> list[str]:
        overlay = {
            "mirror": mirror,
            "genomes": {"fetched": {"url": f"{self.address}/fetched.fa.gz"}},
            "weights": {"server": self.hub},
        }
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        snakemake = str(Path(sys.executable).parent / "snakemake")
        fixed = [snakemake, "--profile", "profiles/local", "--nolock", "--resources", "gpu=2"]
        files = ["--configfile", *CONFIGFILES, "overlay.yaml"]
        return [*fixed, *options, *files, "--", *targets]

    def start(self, *arguments, log: str = "head.log") -> subprocess.Popen:
        with open(self.folder / log, "a") as file:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[int]:
        """Return the processes of this run, whoever started them."""
        mark = f"DNALM_FAULTS={self.notes}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def kill(self) -> None:
        """Kill all of its processes, the first of them before it can see what becomes of others."""
        while left := [pid for pid in self.processes() if state_of(pid) not in "Z-"]:
            for pid in sorted(left):
                send(pid, signal.SIGKILL)

    def contents(self) -> dict[str, str]:
        return contents_of(self.folder, self.folder / "results")


def run_undisturbed(folder: Path, servers: tuple[str, str]) -> Undisturbed:
    """Run a copy of the workflow to its end and return what it made."""
    run = Run(folder, servers, (), [])
    for mirror, targets in STEPS:
        assert run.start(mirror, targets).wait() == 0, (folder / "head.log").read_text()
    asked = subprocess.run(
        run.command(*STEPS[1], "--summary"),
        cwd=folder,
        env=run.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in asked.stdout.splitlines() if line.startswith("results")]
    outputs, logs, of_log = {}, {}, {}
    for name, _, rule, log, *_ in rows:
        outputs.setdefault(rule, []).append(name)
        of_log.setdefault(log, []).append(name)
        logs.setdefault(rule, [])
        if log not in logs[rule]:
            logs[rule].append(log)
    # Snakemake does not list what is no target any longer.
    (mirrored,) = (folder / MIRROR).rglob("fetched.fa.gz")
    name = str(mirrored.relative_to(folder))
    outputs["mirror_file"] = [name]
    logs["mirror_file"] = [f"logs/mirror_file/{mirrored.relative_to(folder / MIRROR)}.log"]
    of_log[logs["mirror_file"][0]] = [name]
    names = [line.split("\t")[2] for line in (run.notes / "names").read_text().splitlines()]
    when = {name: number for number, name in enumerate(names)}
    configfiles = (*CONFIGFILES, "overlay.yaml")
    subprocess.run([sys.executable, "-c", LIST_RULES, *configfiles], cwd=folder, check=True)
    return Undisturbed(
        rules=json.loads((folder / "rules.json").read_text()),
        outputs=outputs,
        logs=logs,
        seconds={rule: measured(folder, logs[rule]) for rule in outputs},
        named=sorted(set(names)),
        last_names=[max(made, key=lambda one: when.get(one, -1)) for made in of_log.values()],
        contents=run.contents(),
        pages={
            rule: min(count_pages(folder, of_log[log]) for log in own) for rule, own in logs.items()
        },
    )


def count_pages(folder: Path, outputs: list[str]) -> int:
    """Return how many pages of a disk the results of a job take."""
    paths = [path for name in outputs for path in files_of(folder, folder / name).values()]
    return sum(-(-path.stat().st_size // PAGE_BYTES) for path in paths)


def measured(folder: Path, logs: list[str]) -> float:
    """Return the seconds of the shortest job among those with these logs."""
    found = []
    for log in logs:
        benchmark = folder / "benchmarks" / Path(log).relative_to("logs").with_suffix(".jsonl")
        found.append(json.loads(benchmark.read_text().splitlines()[-1])["s"])
    return min(found)


# -- Faults ----------------------------------------------------------------------------------------


class Watcher:
    """Starts a run, waits for jobs that have taken a fault, and plants it."""

    def __init__(self, run: Run, undisturbed: Undisturbed, seed: int):
        self.run, self.expected, self.seed = run, undisturbed, seed
        self.report, self.seen = Report(), set()
        self.pending: dict[tuple[str, str], tuple[int, float]] = {}

    def watch(self, *options: str) -> Report:
        for mirror, targets in STEPS:
            while True:
                before = len(self.report.planted)
                head = self.run.start(mirror, targets, *options)
                while head.poll() is None:
                    self.look()
                    time.sleep(0.005)
                self.look()
                if head.returncode == 0:
                    break
                if len(self.report.planted) == before:
                    text = (self.run.folder / "head.log").read_text()
                    self.wrong("the run failed although no fault was planted", text[-3000:])
                    return self.report
        self.finish()
        return self.report

    def wrong(self, *words: object) -> None:
        self.report.wrong.append(": ".join(map(str, words)))

    def look(self) -> None:
        for path in self.run.notes.glob("*.*"):
            rule, fault = path.name.split(".")
            text = path.read_text()
            if (rule, fault) not in self.seen and text:
                self.seen.add((rule, fault))
                share = random.Random(f"{self.seed} {rule}").uniform(0.05, 0.95)
                moment = time.monotonic() + share * self.expected.seconds.get(rule, 0)
                self.pending[rule, fault] = (int(text), moment)
        for (rule, fault), (pid, moment) in list(self.pending.items()):
            state = state_of(pid)
            if (rule, fault) not in self.pending:  # a power cut came before
                continue
            if state == "T":
                del self.pending[rule, fault]
                self.report.planted.append(f"{rule}.{fault}")
                getattr(self, fault)(rule, pid)
            elif state in "Z-":
                del self.pending[rule, fault]
                said = self.newest_log(rule)[-2000:]
                self.wrong(rule, f"a job that was to meet '{fault}' ended before", said)
            elif fault == "moment" and time.monotonic() > moment:
                send(pid, signal.SIGSTOP)

    def moment(self, rule: str, pid: int) -> None:
        self.check_names(rule, "killed at a random moment")
        send(pid, signal.SIGKILL)
        wait_for_end(pid)

    def end(self, rule: str, pid: int) -> None:
        self.check_names(rule, "killed right before its end")
        if all((self.run.folder / name).exists() for name in self.expected.outputs[rule]):
            self.wrong(rule, "all results had their names before the last one got its own")
        self.run.kill()
        # Jobs beside it died with it: their faults are for the next ones of their rules.
        for path in self.run.notes.glob("*.*"):
            if path.name not in self.report.planted:
                path.unlink()
        self.pending.clear()
        self.seen = {tuple(name.split(".")) for name in self.report.planted}

    def full(self, rule: str, pid: int) -> None:
        self.fill(rule, pid, "full", 0)

    def scarce(self, rule: str, pid: int) -> None:
        # At most half of the pages that the smallest results of a job of this rule take.
        most = self.expected.pages[rule] // 2
        room = random.Random(f"{self.seed} {rule}").randint(1, most) if most else 0
        self.fill(rule, pid, "scarce", room * PAGE_BYTES)

    def fill(self, rule: str, pid: int, fault: str, room: int) -> None:
        """Leave so many bytes on the disk of the results while a job runs."""
        before = self.run.contents()
        filler = self.run.folder / "results" / "filler"
        with open(filler, "wb") as file:
            space = os.statvfs(file.fileno())
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - room)
        send(pid, signal.SIGCONT)
        wait_for_end(pid)
        said = self.newest_log(rule)  # before another attempt begins it anew
        filler.unlink()
        self.report.logged[f"{rule}.{fault}"] = said.rstrip().rpartition("\n")[2]
        if "Traceback" in said:
            self.wrong(rule, f"a {fault} disk is told with a traceback", said)
        self.check_names(rule, f"ended by a disk that is {fault}")
        after = self.run.contents()
        for name, content in before.items():
            if after.get(name) != content and not RESUMED.intersection(Path(name).parts):
                self.wrong(rule, f"a {fault} disk changed {name}")
        for name in after.keys() - before.keys():
            if any(part.startswith(".") for part in Path(name).parts):
                self.wrong(rule, f"a {fault} disk left {name}")

    def newest_log(self, rule: str) -> str:
        logs = [self.run.folder / log for log in self.expected.logs[rule]]
        there = [log for log in logs if log.exists()]
        return max(there, key=lambda log: log.stat().st_mtime_ns).read_text() if there else ""

    def check_names(self, rule: str, what: str) -> None:
        """Note results that are not what they are to be although they have their final names."""
        for name in self.expected.outputs[rule]:
            found = contents_of(self.run.folder, self.run.folder / name)
            for path, content in found.items():
                if content != self.expected.contents.get(path):
                    self.wrong(rule, f"{what}, {path} was there half-written or different")

    def finish(self) -> None:
        """Hold what there is now against what nothing disturbed."""
        for pid in self.run.processes():
            if state_of(pid) not in "Z-":
                self.wrong(f"process {pid} still runs", Path(f"/proc/{pid}/cmdline").read_text())
        self.run.kill()
        found = self.run.contents()
        for name in sorted(found.keys() - self.expected.contents.keys()):
            self.wrong(f"{name} is left over")
        for name in sorted(self.expected.contents.keys() - found.keys()):
            self.wrong(f"{name} is missing")
        for name in sorted(found.keys() & self.expected.contents.keys()):
            if found[name] != self.expected.contents[name]:
                self.wrong(f"{name} differs from that of an undisturbed run")


def state_of(pid: int) -> str:
    """Return the letter of a process's state, - for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "-"


def send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state_of(pid) not in "Z-":
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.005)


def main() -> None:
    """Plant full disks; started where <workflow>/results is a file system of its own."""
    task = json.loads(Path(sys.argv[1]).read_text())
    undisturbed = Undisturbed(**task["undisturbed"])
    folder, servers = Path(task["folder"]), tuple(task["servers"])
    run = Run(folder, servers, ("full", "scarce"), undisturbed.last_names)
    report = Watcher(run, undisturbed, seed=task["seed"]).watch("--cores", "1", "--retries", "2")
    Path(sys.argv[2]).write_text(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
