"""Time and memory of the stages of a run, from the benchmark files of its jobs."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dnalm.jobs.device_use import read_earlier, read_gpus
from dnalm.methods import BASELINE

COLUMNS = ["stage", "jobs", "seconds", "largest_job_seconds", "processor_seconds"]
COLUMNS += ["gpu_seconds", "peak_memory_mb"]
# What the folders and the file's name say below a stage; of stages not named here all jobs count.
NAMES = {
    "simulate_genome": ["genome"],
    "encode_genome": ["genome"],
    "write_fasta": ["genome"],
    "build_corpus": ["corpus"],
    "make_task": ["task"],
    "audit_task": ["task"],
    "locate_task": ["corpus", "task"],
    "describe_run": ["model"],
    "describe_operation": ["model"],
    "initialise_model": ["model"],
    "import_weights": ["model"],
    "export_model": ["model"],
    "write_model_card": ["model"],
    "pretrain": ["model"],
    "write_token_shards": ["model"],
    "embed_task": ["model", "task"],
    "probe_task": ["model", "task"],
    "probe_mlp": ["model", "task"],
    "score_baselines": ["task"],
    "score_bases": ["task"],
    "finetune_task": ["method", "model", "task"],
    "train_network": ["baseline", "task"],
    "export_adapters": ["method", "model", "task"],
}


def stages_table(
    folder: str | Path, tables: Mapping[str, pd.DataFrame], logs: str | Path = "."
) -> pd.DataFrame:
    """Return the time spent per stage from a folder of benchmark files, one subfolder per stage.

    Files are JSON lines with `s` (seconds), `cpu_time` (seconds of all cores) and `max_rss` (MB),
    of the last attempt of each job; the last two are unknown where a job was too short for them.
    Jobs of genomes, corpora, models and tasks that are not in `tables` belong to another run and
    are left out. The sum over jobs is work, not waiting time: jobs run side by side. `gpu_seconds`
    is the time of jobs times the GPUs that each computed on, as files in the folder `logs` say;
    unknown where a job of the stage has not said it. These files also have the time of attempts
    that were stopped and that the last one has gone on from, which counts in all but
    `processor_seconds`.
    """
    known = _known(tables)
    rows = []
    for path in sorted(Path(folder).rglob("*.jsonl")):
        job = path.relative_to(folder).with_suffix("")
        stage, *names = job.parts
        if any(
            name not in known[kind] for kind, name in zip(NAMES.get(stage, []), names, strict=False)
        ):
            continue
        log = Path(logs) / job.parent / f"{job.name}.log"
        gpus, (before, gpu_before) = read_gpus(log), read_earlier(log)
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            record = json.loads(line)
            memory, cores = (
                pd.to_numeric(record.get(name), errors="coerce") for name in ("max_rss", "cpu_time")
            )
            seconds = float(record["s"])
            row = {"stage": stage, "s": seconds + before, "cores": cores, "memory": memory}
            rows.append(row | {"gpus": seconds * gpus + gpu_before})
    table = pd.DataFrame(rows, columns=["stage", "s", "cores", "memory", "gpus"])
    stages = table.groupby("stage", sort=False).agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        largest_job_seconds=("s", "max"),
        processor_seconds=("cores", lambda own: own.sum(min_count=1)),
        gpu_seconds=("gpus", lambda own: own.sum(skipna=False)),
        peak_memory_mb=("memory", "max"),
    )
    ordered = stages.reset_index().sort_values("seconds", ascending=False, ignore_index=True)
    return ordered[COLUMNS]


def _known(tables: Mapping[str, pd.DataFrame]) -> dict[str, set[str]]:
    summary = tables["summary"]
    baseline = summary["method"] == BASELINE
    return {
        "genome": set(tables["genomes"]["genome"]),
        "corpus": set(tables["corpora"]["corpus"]),
        "task": set(tables["tasks"]["task"]),
        "model": set(tables["models"]["model"]),
        "baseline": set(summary.loc[baseline, "model"]),
        "method": set(summary.loc[~baseline, "method"]),
    }
