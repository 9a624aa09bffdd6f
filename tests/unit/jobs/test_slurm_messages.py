"""What Slurm has against a job is one sentence that names the setting; texts are Slurm's own."""

import pytest

from dnalm.jobs.slurm_messages import explain_messages, find_end

# Of Snakemake 9.27.1 with its executor 2.8.0, shortened.
ANNOUNCED = """
[Mon Nov 30 22:46:24 2026]
rule {rule}:
    input: results/a.npy
    output: results/{rule}.parquet, results/{rule}.json
    log: results/logs/{rule}.log
    jobid: 3
    resources: tmpdir=<TBD>, mem_mb=8000, mem=8 GB, slurm_partition=cpu, runtime=120
Job 3 has been submitted with SLURM jobid 2 (log: {log}).
"""
FAILED = """[Mon Nov 30 22:47:33 2026]
Error in rule {rule}:
    message: {message}For further error details see the cluster/cloud log and the log files.
    jobid: 3
    input: results/a.npy
    output: results/{rule}.parquet, results/{rule}.json
    log: results/logs/{rule}.log, {log} (check log file(s) for error details)
    external_jobid: 2
Logfile results/logs/{rule}.log:
================================================================================
Error in what a job itself has logged, SLURM status is: 'TIMEOUT'
Trying to restart job 3.
"""
STATE = (
    "SLURM-job '2' failed, SLURM status is: '{state}'. Detailed failure reason unavailable "
    "(status command is not 'sacct')."
)
REFUSED = """SLURM sbatch failed. The error message was '{said}'.
    sbatch call:
        sbatch --parsable -p cpu -t 120 --mem 8000 --wrap="python --mode 'remote'"
"""
SLURMSTEPD = {
    "TIMEOUT": "-n1: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-30T22:47:29 DUE TO TIME LIMIT ***",
    "OUT_OF_MEMORY": (
        "-n1: error: StepId=1.0 exceeded memory limit (2113228800 > 1048576000), being killed"
    ),
    "by cgroups": (
        ": error: Detected 1 oom_kill event in StepId=11.0. Some of the step tasks have been OOM "
        "Killed."
    ),
    "by older cgroups": (
        ": error: Detected 1 oom-kill event(s) in StepId=1.batch. Some of your processes may have "
        "been killed by the cgroup out-of-memory handler."
    ),
}


def explain(message, log="none.log", rules=("make_task",), attempts=1):
    text = "".join(
        ANNOUNCED.format(rule=rule, log=log) + FAILED.format(rule=rule, message=message, log=log)
        for rule in rules
        for _ in range(attempts)
    )
    return explain_messages(text)


def test_a_time_limit_names_the_job_its_runtime_and_the_setting_once():
    (sentence,) = explain(STATE.format(state="TIMEOUT"), attempts=3)
    assert sentence == (
        "make_task (results/make_task.parquet) was ended by Slurm at its time limit: raise "
        "`runtime` of its rule in the profile, now runtime=120."
    )


def test_each_job_has_a_sentence_of_its_own():
    found = explain(STATE.format(state="OUT_OF_MEMORY"), rules=("make_task", "embed_task"))
    assert [sentence.split(" ")[0] for sentence in found] == ["make_task", "embed_task"]
    assert all(
        sentence.endswith("raise `mem_mb` of its rule in the profile, now mem_mb=8000.")
        for sentence in found
    )


@pytest.mark.parametrize(("end", "line"), SLURMSTEPD.items())
def test_what_slurm_calls_failed_is_looked_for_in_its_log(tmp_path, end, line):
    log = tmp_path / "2.log"
    log.write_text(
        f"Select jobs to execute...\nslurmstepd{line}\nsrun: error: n1: task 0: Killed\n"
    )
    (sentence,) = explain(STATE.format(state="FAILED"), log=log)
    assert ("`runtime`" if end == "TIMEOUT" else "`mem_mb`") in sentence
    assert find_end(log) == ("TIMEOUT" if end == "TIMEOUT" else "OUT_OF_MEMORY")


def test_a_job_that_failed_by_itself_or_was_cancelled_has_none(tmp_path):
    log = tmp_path / "2.log"
    log.write_text("Error: train.csv, row 2: 'yes' is no class. ran out of memory of ideas\n")
    assert explain(STATE.format(state="FAILED"), log=log) == []
    assert explain(STATE.format(state="CANCELLED"), log=log) == []
    assert explain("None") == []
    assert find_end(tmp_path / "missing.log") is None


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        (
            "invalid partition specified: nope\n{failed}Invalid partition name specified",
            "DNALM_GPU_PARTITION",
        ),
        (
            "{failed}Invalid account or account/partition combination specified",
            "DNALM_SLURM_ACCOUNT",
        ),
        ("{failed}Invalid qos specification", "slurm-qos"),
        ("{failed}Invalid feature specification", "`constraint`"),
        (
            "Memory specification can not be satisfied\n{failed}{nodes}",
            "`mem_mb` of this rule",
        ),
        (
            "CPU count per node can not be satisfied\n{failed}{nodes}",
            "set-threads",
        ),
        ("{failed}Requested time limit is invalid (missing or exceeds some limit)", "`runtime`"),
        ("{failed}{nodes}", "`gpu`, `nodes`, `mem_mb`"),
        ("{failed}Invalid generic resource (gres) specification", "`gpu`, `nodes`, `mem_mb`"),
        ("{failed}Access/permission denied", "the resources of this rule"),
    ],
)
def test_a_refusal_is_quoted_with_what_to_change(said, setting):
    said = said.replace("{nodes}", "Requested node configuration is not available")
    failed = "Batch job submission failed: "
    lines = [f"sbatch: error: {line}" for line in said.format(failed=failed).splitlines()]
    (sentence,) = explain(REFUSED.format(said="\n".join(lines)), attempts=2)
    assert sentence.startswith("Slurm refused make_task (results/make_task.parquet): '")
    assert said.replace("{failed}", "").replace("\n", "; ") in sentence
    assert setting in sentence.partition("';")[2]
    assert "\n" not in sentence
