"""What the rules of tasks are given."""

from dnalm.configuration.builds import list_build_files
from dnalm.configuration.cross_validation import resolve_cross_validation

# Of the table that `format: deepsea` reads the outputs' names and DeepSEA's own scores from.
DEEPSEA_PROFILES = find_resource("deepsea_profiles.tsv")
PROFILES = 919


def get_task_entry(task):
    return resolve.resolve_task(config, task)


def get_task(wildcards):
    return resolve.describe_rows(config, wildcards.task)


def get_task_files(wildcards):
    """Return the source files of a task, by the names that make_task.py reads."""
    task = get_task_entry(wildcards.task)
    if "build" in task:
        build = task["build"]
        genome = f"<results>/genomes/{build['genome']}"
        files = {
            "bases": f"{genome}/bases.npy",
            "contigs": f"{genome}/contigs.tsv",
            "genome": f"{genome}/manifest.json",
        }
        own = list_build_files(build)
        return {**files, **locate_all(wildcards.task, own)}
    if resolve.is_of_hub(config, wildcards.task):
        return {"listing": f"<results>/hub/tasks/{wildcards.task}.json"}
    files = {}
    for split in resolve.list_roles(task):
        files[split] = resolve.list_sources(task, wildcards.task, split)
        if labels := resolve.list_label_files(task, wildcards.task, split):
            files[f"{split}_labels"] = labels
    if "outputs_file" in task:
        files["outputs"] = [task["outputs_file"]]
    elif task["format"] == "deepsea" and task["classes"] == PROFILES:
        files["outputs"] = [DEEPSEA_PROFILES]
    return locate_all(wildcards.task, files)


def locate_all(task, files):
    """Return the files of the paths and addresses of a task, by role."""
    made = f"<results>/tasks/{task}.parquet"
    return {
        role: [watch(locate(source), f"tasks.{task}, {role}", made) for source in sources]
        for role, sources in files.items()
    }


def get_task_memory(wildcards):
    """Return megabytes: DeepSEA's rows take 6.8 kB each, 17 GB, and its test.mat 3.9 GB before."""
    return 24000 if get_task_entry(wildcards.task)["format"] == "deepsea" else 8000


def get_cross_validation(wildcards):
    return resolve_cross_validation(config, wildcards.task)


def get_pooling(wildcards):
    """Return the one key of a task that embedding and fine-tuning read."""
    return {"pooling": get_task_entry(wildcards.task)["pooling"]}
