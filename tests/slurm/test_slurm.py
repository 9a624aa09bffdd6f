"""The small DAG through a real Slurm: two ranks on each of two nodes, disturbed in all known ways.

Everything but sizes is that of profiles/slurm. `make test-slurm` runs it; where there is no Slurm
it is skipped.
"""

import contextlib
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DAEMONS = ("slurmctld", "slurmd", "munged")
PATH = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
MISSING = [name for name in DAEMONS if not shutil.which(name, path=PATH)]
RESULTS = "results/on slurm"
OVERLAYS = ("tests/config.yaml", "tests/tiny.yaml", "tests/slurm/config.yaml")
STEPS = 400
PATIENCE_SECONDS = 1800  # on a machine that others use as well

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"needs {', '.join(MISSING)}: apt-get install slurm-wlm munge, or your system's",
    ),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm of two nodes on this machine, and the environment in which its clients find it."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", HERE / "up.sh", folder], check=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patched.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        yield folder
    subprocess.run(["bash", HERE / "down.sh", folder], check=True)


class Cluster:
    """A copy of the workflow whose jobs run on a Slurm."""

    def __init__(self, workflow, overlays=()):
        self.workflow = workflow
        self.overlays = tuple(overlays)

    def command(self, *arguments):
        profiles = ("--workflow-profile", "tests/slurm/profile")
        overlays = (*OVERLAYS, *self.overlays)
        return self.workflow.command(
            *arguments, *profiles, "--configfile", *overlays, profile="profiles/slurm"
        )

    def add(self, name, text):
        """Write one more overlay, for all runs from now on."""
        (self.workflow.folder / name).write_text(text)
        self.overlays = (*self.overlays, name)

    def start(self, *arguments):
        """Start snakemake in the background; its output goes to the file `head.log`."""
        with open(self.workflow.folder / "head.log", "w") as log:
            return subprocess.Popen(
                self.command(*arguments), cwd=self.workflow.folder, stdout=log, stderr=log
            )

    def run(self, *arguments):
        """Run snakemake to its end; return its exit code and output."""
        code = self.start(*arguments).wait(timeout=PATIENCE_SECONDS)
        return code, self.output()

    def output(self):
        """Return what the last snakemake wrote."""
        return (self.workflow.folder / "head.log").read_text()

    def weights(self, model):
        return f"{RESULTS}/models/{model}/weights.safetensors"

    def bytes_of(self, model):
        return (self.workflow.folder / self.weights(model)).read_bytes()

    def state(self, model):
        """Return the state folder of a model that has one."""
        (folder,) = (self.workflow.folder / RESULTS / "models" / model / "state").iterdir()
        return folder

    def log(self, model):
        return (self.workflow.folder / RESULTS / "logs/pretrain" / f"{model}.log").read_text()

    def rows(self, model):
        """Return the rows of training in a model's finished history."""
        lines = (self.workflow.folder / RESULTS / "models" / model / "history.jsonl").read_text()
        return [row for row in map(json.loads, lines.splitlines()) if "loss" in row]

    def wait_for_rows(self, model, number):
        """Return the lock's content once so many rows are in a growing history."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, ValueError):
                state = self.state(model)
                if (state / "history.jsonl").read_text().count("\n") >= number:
                    return json.loads((state / "lock.json").read_text())
            time.sleep(0.1)
        raise AssertionError(self.output())


def ask(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def facts_of(job):
    """Return what Slurm knows of a job."""
    return dict(re.findall(r"(\S+?)=(\S*)", ask("scontrol", "show", "job", job)))


def jobs_of(rule, model):
    """Return the numbers of the Slurm jobs that were submitted for a rule and a model."""
    listed = ask("scontrol", "--oneliner", "show", "job").splitlines()
    comment = f"Comment=rule_{rule}_wildcards_{model} "
    return [re.search(r"JobId=(\d+)", line).group(1) for line in listed if comment in line]


@pytest.fixture(scope="module")
def copied(cluster, make_workflow):
    """A copy of the workflow, in which nothing may have run yet."""
    return Cluster(make_workflow())


@pytest.fixture(scope="module")
def chain(copied):
    """The workflow, run from the genome to the report with nothing in its way."""
    code, output = copied.run()
    assert code == 0, output
    return copied


def assert_trained_like_undisturbed(chain, model):
    assert chain.bytes_of(model) == chain.bytes_of("steady")
    assert [row["step"] for row in chain.rows(model)] == list(range(1, STEPS + 1))
    losses = [[row["loss"] for row in chain.rows(name)] for name in (model, "steady")]
    assert losses[0] == losses[1]


def test_the_chain_runs_on_two_nodes_of_two_ranks_to_its_report(chain):
    assert (chain.workflow.folder / RESULTS / "report.html").exists()
    (job,) = jobs_of("pretrain", "steady")
    facts = facts_of(job)
    assert facts["JobState"] == "COMPLETED"
    assert (facts["NumNodes"], facts["NumTasks"], facts["NodeList"]) == ("2", "4", "n[1-2]")
    assert facts["Requeue"] == "1"
    assert "Pre-flight: 4 processes on n1, n2, Python" in chain.log("steady")
    assert [row["step"] for row in chain.rows("steady")] == list(range(1, STEPS + 1))


def test_a_check_of_the_cluster_starts_as_a_training_does(copied):
    code, output = copied.run(f"{RESULTS}/models/steady/cluster_check.json")
    assert code == 0, output
    found = copied.workflow.folder / RESULTS / "models" / "steady" / "cluster_check.json"
    facts = json.loads(found.read_text())
    assert (facts["processes"], facts["hosts"]) == (4, ["n1", "n2"])
    assert facts["all_reduce"]["gigabytes_per_second"] > 0
    (job,) = jobs_of("check_training", "steady")
    assert (facts_of(job)["NumNodes"], facts_of(job)["NumTasks"]) == ("2", "4")


def test_four_ranks_of_torchrun_on_one_node_end_with_the_same_weights(chain):
    code, output = chain.run(chain.weights("single"))
    assert code == 0, output
    (job,) = jobs_of("pretrain", "single")
    assert (facts_of(job)["NumNodes"], facts_of(job)["NumTasks"]) == ("1", "1")
    assert re.search("Pre-flight: 4 processes on n[12], Python", chain.log("single"))
    assert_trained_like_undisturbed(chain, "single")


def test_a_cancelled_job_has_saved_and_the_next_attempt_goes_on(chain):
    head = chain.start(chain.weights("cancelled"))
    job = chain.wait_for_rows("cancelled", 30)["slurm_job_id"]
    subprocess.run(["scancel", job], check=True)
    assert head.wait(timeout=PATIENCE_SECONDS) == 0, chain.output()
    first, second = sorted(jobs_of("pretrain", "cancelled"), key=int)
    assert first == job
    assert [facts_of(each)["JobState"] for each in (first, second)] == ["CANCELLED", "COMPLETED"]
    assert facts_of(first)["Restarts"] == "0", "a cancelled job was put back into the queue"
    done = int(re.search(rf"(\d+) of {STEPS} steps are done", chain.log("cancelled")).group(1))
    assert done >= 10, "the job did not save when it was cancelled"
    assert_trained_like_undisturbed(chain, "cancelled")


def test_a_time_limit_ends_in_the_queue_again_without_using_up_a_retry(chain):
    asked = ("pretrain:runtime=1", "pretrain:tasks_per_gpu=0")  # in place of all of the profile
    code, output = chain.run(chain.weights("limited"), "--retries", "0", "--set-resources", *asked)
    assert code == 0, output
    (job,) = jobs_of("pretrain", "limited")
    facts = facts_of(job)
    assert facts["TimeLimit"] == "00:01:00"
    assert facts["JobState"] == "COMPLETED"
    assert int(facts["Restarts"]) >= 1, "trained in less than a minute: raise evaluation_windows"
    done = re.search(rf"(\d+) of {STEPS} steps are done", chain.log("limited")).group(1)
    assert int(done) > 0
    assert_trained_like_undisturbed(chain, "limited")
    use = chain.workflow.folder / RESULTS / "logs/pretrain/limited.devices.json"
    facts = json.loads(use.read_text())
    assert (facts["ended"], facts["gpus"]) == (True, 0)
    parts = [part["seconds"] for part in facts["earlier"]]
    assert len(parts) >= int(restarts := facts_of(job)["Restarts"]), restarts
    assert max(parts) > 1, "the part before the time limit is not counted"


def test_after_a_kill_of_snakemake_a_new_start_gives_no_second_writer(chain):
    target = chain.weights("orphaned")
    head = chain.start(target)
    holder = chain.wait_for_rows("orphaned", 3)
    head.send_signal(signal.SIGKILL)
    head.wait()
    assert facts_of(holder["slurm_job_id"])["JobState"] == "RUNNING"

    code, output = chain.run(target)
    assert code != 0
    assert "It can be removed with the --unlock argument" in output
    assert chain.run("--unlock")[0] == 0
    code, output = chain.run(target, "--retries", "0")
    assert code != 0
    sentence = f"is being written by process {holder['pid']} of Slurm job {holder['slurm_job_id']}"
    assert sentence in output
    first, second = sorted(jobs_of("pretrain", "orphaned"), key=int)
    assert first == holder["slurm_job_id"]
    assert facts_of(second)["JobState"] == "FAILED"

    deadline = time.monotonic() + PATIENCE_SECONDS
    while facts_of(first)["JobState"] in ("RUNNING", "COMPLETING"):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert facts_of(first)["JobState"] == "COMPLETED"
    assert_trained_like_undisturbed(chain, "orphaned")
    code, output = chain.run(target)
    assert code == 0, output
    assert_trained_like_undisturbed(chain, "orphaned")


def test_a_node_without_the_gpus_that_were_asked_for_ends_with_a_sentence(chain):
    """Two GPUs that are null devices: Slurm gives them, torch does not see them."""
    asked = {"gpu": 2, "gpus_per_node": 1, "nodes": 2, "mpi": "'srun'", "tasks_per_node": 2}
    asked |= {"tasks_per_gpu": 0, "cpus_per_task": 1, "mem_mb": 2000, "runtime": 5}
    options = ("--retries", "0", "--set-resources")
    code, output = chain.run(
        chain.weights("cardless"), *options, *(f"pretrain:{k}={v}" for k, v in asked.items())
    )
    assert code != 0
    assert re.search(r"rank 0 on n1 sees 0 GPUs, but 1 were asked for on each node", output)


def test_two_copies_of_the_library_on_the_nodes_end_with_a_sentence(cluster, chain, tmp_path):
    """The second node is given a copy of the workflow with one more comment."""
    ours, other = chain.workflow.folder / "scripts", tmp_path / "scripts"
    shutil.copytree(ours, other)
    with (other / "dnalm/jobs/job.py").open("a") as file:
        file.write("# another copy\n")
    (tmp_path / "start.sh").write_text(
        f"scripts={ours}\n"
        f'[ "$SLURMD_NODENAME" = n1 ] || scripts={other}\n'
        f'exec {sys.executable} "$scripts/pretrain.py" "$@"\n'
    )
    code, output = chain.run(f"{RESULTS}/models/steady/operation.json")
    assert code == 0, output
    models = chain.workflow.folder / RESULTS / "models/steady"
    corpus = chain.workflow.folder / RESULTS / "corpora/simulated"
    options = {
        "run": models / "run.json",
        "operation": models / "operation.json",
        "corpus": corpus / "manifest.json",
        "validation": corpus / "validation.npy",
        "test": corpus / "test.npy",
        "kmer-counts": corpus / "kmer_counts.npy",
        "genomes-folder": chain.workflow.folder / RESULTS / "genomes",
        "panels-folder": tmp_path,
        "weights": tmp_path / "weights.safetensors",
        "history": tmp_path / "history.jsonl",
        "log": tmp_path / "log",
    }
    pairs = [text for name, path in options.items() for text in (f"--{name}", str(path))]
    with socket.create_server(("", 0)) as server:  # n1 is no name that anybody here knows
        meeting = {"MASTER_ADDR": socket.gethostname(), "MASTER_PORT": server.getsockname()[1]}
    done = subprocess.run(
        ["srun", "--nodes=2", "--ntasks=2", "bash", tmp_path / "start.sh", *pairs],
        env=os.environ | {name: str(value) for name, value in meeting.items()},
        timeout=PATIENCE_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    sentence = r"Error: rank 1 on n2 has the library scripts/dnalm \w+, but rank 0 on n1 has \w+; "
    assert re.search(sentence, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_fine_tuning_in_shards_has_all_its_gpus_on_one_node(chain):
    """Of a node with two; torch sees none of these, so that two processes share the processor."""
    target = f"{RESULTS}/finetunes/full/steady/simulated.promoters/scores.tsv"
    chain = Cluster(chain.workflow)
    chain.add("shards.yaml", "run: {methods: [full]}\nfinetune: {operation: {gpus: 2}}\n")
    code, output = chain.run(target)
    assert code == 0, output
    (job,) = jobs_of("finetune_task", "full_steady_simulated.promoters")
    facts = facts_of(job)
    assert (facts["NumNodes"], facts["TresPerJob"]) == ("1", "gres:gpu:2")
    log = chain.workflow.folder / RESULTS / "logs/finetune_task/full/steady"
    assert "2 processes share the encoder" in (log / "simulated.promoters.log").read_text()


def test_more_gpus_than_a_node_has_are_refused_with_a_sentence(chain):
    chain = Cluster(chain.workflow)
    chain.add("many.yaml", "run: {methods: [full]}\nfinetune: {operation: {gpus: 4}}\n")
    target = f"{RESULTS}/finetunes/full/steady/simulated.promoters/scores.tsv"
    code, output = chain.run(target, "--forcerun", "finetune_task", "--retries", "0")
    assert code != 0
    sentence = "Requested node configuration is not available'; lower what this rule asks for in"
    assert sentence in output


def test_a_wrong_partition_is_told_with_the_variable_to_set(chain, monkeypatch):
    monkeypatch.setenv("DNALM_CPU_PARTITION", "nowhere")
    chain = Cluster(chain.workflow)
    chain.add("other.yaml", "tasks: {simulated.promoters: {build: {upstream: 140}}}\n")
    code, output = chain.run("tasks")
    assert code != 0
    assert output.count("'invalid partition specified: nowhere; Invalid partition name") == 1
    assert "by DNALM_CPU_PARTITION and DNALM_GPU_PARTITION" in output


FAILING = """
run: {models: [steady], tasks: [mine.broken, mine.slow, mine.greedy], baselines: [majority]}
tasks:
  mine.broken: {path: {train: broken.csv, test: test.csv}, kind: binary, classes: 2}
  mine.slow: {path: {train: train.csv, test: test.csv}, kind: binary, classes: 2}
  mine.greedy: {path: {train: train.csv, test: test.csv}, kind: binary, classes: 2}
"""
PLANTED = """
    if snakemake.params.name == "mine.slow":
        __import__("time").sleep(600)
    if snakemake.params.name == "mine.greedy":
        held = bytearray(b"x") * 2_000_000_000
        __import__("time").sleep(600)
"""


def test_of_jobs_that_failed_a_sentence_and_the_page_say_why(chain, make_workflow):
    """One by itself, one that Slurm ends for time, one for memory."""
    failing = Cluster(make_workflow())
    folder = failing.workflow.folder
    for part in ("genomes", "simulated", "corpora", "models"):
        source = chain.workflow.folder / RESULTS / part
        shutil.copytree(source, folder / RESULTS / part)
    rows = "".join(
        f"ACGTACGTAC{'ACGT'[row % 4]}{'ACGT'[row // 4]},{row % 2}\n" for row in range(16)
    )
    (folder / "train.csv").write_text(f"sequence,label\n{rows}")
    (folder / "test.csv").write_text("sequence,label\nACGTTTTTAAAA,0\nACGTTTTTAAAC,1\n")
    (folder / "broken.csv").write_text("sequence,label\nACGTACGT,0\nACGAACGT,yes\n")
    script = folder / "scripts/make_task.py"
    script.write_text(re.sub(r"(with job.*\n)", rf"\g<1>{PLANTED}", script.read_text()))
    failing.add("failing.yaml", FAILING)
    options = ("--retries", "0", "--keep-going", "--set-resources")
    code, output = failing.run(*options, "make_task:runtime=1", "make_task:mem_mb=1000")
    assert code != 0
    told = [line for line in output.splitlines() if "was ended by Slurm" in line]
    slow, greedy = sorted(told, key=lambda line: "greedy" in line)
    assert "mine.slow.parquet) was ended by Slurm at its time limit: raise `runtime`" in slow
    assert slow.endswith("now runtime=1.")
    assert "mine.greedy.parquet) was ended by Slurm for taking more memory than it had" in greedy
    assert greedy.endswith("raise `mem_mb` of its rule in the profile, now mem_mb=1000.")
    assert "broken.csv" in output
    assert "`snakemake report_partial`, with the options of this command" in output

    code, output = failing.run("report_partial")
    assert code == 0, output
    written = (folder / RESULTS / "report_partial.html").read_text()
    page = html.unescape(re.sub(r"<[^>]*>", " ", written))
    assert re.search(r"make_task\s+mine\.broken\s+\S.*broken\.csv", page)
    assert re.search(r"make_task\s+mine\.slow\s[^\n]*ended by Slurm at its time limit", page)
    assert re.search(r"make_task\s+mine\.greedy\s[^\n]*ended by Slurm for taking more memory", page)
