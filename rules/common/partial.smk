"""What of a run there is already and what is missing, as the files on disk say."""

import hashlib

from dnalm.jobs.slurm_messages import explain_messages

# Where Snakemake's executor keeps those of failed jobs: <rule>/<wildcards>/<number of the job>.log.
SLURM_LOGS = Path(".snakemake/slurm_logs")


def list_expected_results(results):
    """Return each result that the run asks for: its names, its files and what it is made from.

    There may be no file yet that says what it is of, so its names are those of its path.
    """
    probes = {probe.folder: probe.name for probe in methods.PROBES}
    expected = []
    for path in list_result_paths():
        folder, *names = Path(path.strip("/")).parts
        *method, model, task = names
        weights_of = [] if folder == "baselines" or model in FOREIGN else [model]
        expected.append(
            {
                "method": method[0] if method else probes.get(folder, methods.BASELINE),
                "model": model,
                "task": task,
                "files": list_files(path, results),
                "made_from": [
                    f"{results}/tasks/{task}.parquet",
                    *expand(f"{results}/models/{{model}}/weights.safetensors", model=weights_of),
                ],
            }
        )
    return expected


def get_expected_results(wildcards):
    return list_expected_results(get_place("<results>"))


def get_described(wildcards):
    return list_described(get_place("<results>"))


def get_missing_products(wildcards):
    """Return what the default target asks for beside the report and is not there."""
    wanted = [get_place(str(path)) for path in get_products(wildcards)]
    report_page = get_place("<results>/report.html")
    return [path for path in wanted if path != report_page and not os.path.exists(path)]


def get_finished_tables(wildcards):
    """Return the tables of the pages on variants and interpretation, where all of them are there."""
    found = {
        "variants": [str(path) for path in get_variant_tables(wildcards)],
        "interpretation": [get_place(path) for path in get_interpretation_tables(wildcards)],
    }
    return {name: paths if all(map(os.path.exists, paths)) else [] for name, paths in found.items()}


def get_stopped_jobs(wildcards):
    """Return rule, wildcards and log of each job that has begun and of whose outputs one lacks.

    It began because it has a log, and it failed, was killed, or goes on. One whose outputs are all
    there has ended, whatever its log says.
    """
    own = get_place("<logs>/make_partial_report.log")
    return [
        {
            "rule": rule.name,
            "wildcards": names,
            "log": path,
            "slurm_log": find_slurm_log(rule.name, names, path),
        }
        for rule in workflow.rules
        for log in rule.log
        for names in find_wildcards(str(log))
        if (path := str(log.apply_wildcards(names))) != own
        and not all(os.path.exists(file.apply_wildcards(names)) for file in rule.output)
    ]


def find_slurm_log(rule, wildcards, log):
    """Return what Slurm wrote of the attempt of a job that its log is of, None where it did not."""
    names = "_".join(wildcards.values()).replace(os.sep, "_")  # as the executor does
    folder = Path(SLURM_LOGS, f"rule_{rule}", names)
    newest = max(folder.glob("*.log"), key=os.path.getmtime, default=None)
    # Of a job that was repeated elsewhere only the older one is by Slurm.
    is_of_this = newest and os.path.getmtime(newest) >= os.path.getmtime(log)
    return str(newest) if is_of_this else None


def find_wildcards(pattern):
    """Return the wildcards of each file that fits a pattern."""
    if "{" not in pattern:
        return [{}] if os.path.exists(pattern) else []
    found = glob_wildcards(pattern)
    return [dict(zip(found._fields, values)) for values in zip(*found)]


def get_state(wildcards):
    """Return a sum of which files there are and of when: with another one the page is made again."""
    results = get_place("<results>")
    listed = [path for paths in list_described(results).values() for path in paths]
    listed += [path for files in list_results(results) for path in files.values()]
    stopped = get_stopped_jobs(wildcards)
    listed += [path for job in stopped for path in (job["log"], job["slurm_log"]) if path]
    there = [(path, os.stat(path).st_mtime_ns) for path in listed if os.path.exists(path)]
    return hashlib.sha256(repr(there).encode()).hexdigest()


def explain_failure(logs):
    """Say after a failed run what Slurm has against its jobs, and how to see what there is.

    `logs` are Snakemake's own, of this run.
    """
    for path in logs:
        for sentence in explain_messages(Path(path).read_text(encoding="utf-8")):
            logger.error(sentence)
    if any(job.rule.name == "make_report" for job in workflow.dag.jobs):
        logger.error(
            "There is no report without these jobs. What is finished can be seen: "
            "`snakemake report_partial`, with the options of this command, makes "
            f"{get_place('<results>/report_partial.html')}, which says what is missing and why."
        )
