"""A run whose jobs fail has a page of what is finished, which says what is missing and why."""

import html
import os
import re

import pytest

TINY = ("--configfile", "tests/config.yaml", "tests/tiny.yaml")
RESULTS = "results/tiny"
HINT = "`snakemake report_partial`"
BROKEN = """
run:
  tasks: [simulated.promoters, simulated.shuffled, mine.broken]
  methods: [probe, ia3]
  predictions: []
tasks:
  mine.broken: {path: {train: train.csv, test: test.csv}, kind: binary, classes: 2}
"""


@pytest.fixture(scope="module")
def failed(tiny_run, make_workflow):
    """A workflow, its command line and the output of a run that lost a task and a fine-tuning."""
    workflow = make_workflow()
    tiny_run.give(
        workflow,
        *("simulated", "genomes", "corpora", "models", "tasks", "audits", "locations"),
        *("embeddings", "probes", "baselines", "finetunes"),
    )
    results = workflow.folder / RESULTS
    tuned = results / "finetunes/ia3/tiny/simulated.shuffled"
    for name in ("scores.tsv", "summary.json"):
        (tuned / name).unlink()
    # What the job that makes them again reads was damaged, and is no younger for it.
    weights = results / "models/tiny/weights.safetensors"
    times = weights.stat()
    with open(weights, "r+b") as file:
        file.truncate(1000)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    (workflow.folder / "train.csv").write_text("sequence,label\nACGTACGT,0\nACGAACGT,yes\n")
    (workflow.folder / "test.csv").write_text("sequence,label\nACGTTTTT,0\n")
    (workflow.folder / "broken.yaml").write_text(BROKEN)
    arguments = (*TINY, "broken.yaml")
    return workflow, arguments, workflow.run("--keep-going", *arguments)


@pytest.fixture(scope="module")
def page(failed):
    """The text of the page of what is finished."""
    workflow, arguments, _ = failed
    done = workflow.run("report_partial", *arguments)
    assert done.returncode == 0, done.stdout
    assert HINT not in done.stdout
    written = (workflow.folder / RESULTS / "report_partial.html").read_text()
    return html.unescape(re.sub(r"<[^>]*>", " ", written))


def test_a_failed_run_says_once_how_to_see_what_is_finished(failed):
    workflow, arguments, done = failed
    assert done.returncode != 0
    assert done.stdout.count(HINT) == 1
    assert f"{RESULTS}/report_partial.html" in done.stdout
    assert not (workflow.folder / RESULTS / "report.html").exists()
    planned = workflow.run("--dry-run", *arguments)
    assert planned.returncode == 0
    assert HINT not in planned.stdout


def test_a_failure_on_the_way_to_something_else_says_nothing_of_reports(failed):
    workflow, arguments, _ = failed
    done = workflow.run("tasks", *arguments)
    assert done.returncode != 0
    assert HINT not in done.stdout


def test_the_page_begins_with_what_is_missing_and_why(page):
    first, _, rest = page.partition("In short")
    assert "unfinished" in first
    # Of three tasks two probes, six baselines and a fine-tuning; nine of the broken task.
    assert "10 of 27 results are missing" in first
    assert re.search(r"all methods\s+mine\.broken\s+its task is missing", first)
    assert re.search(r"tiny · IA3 fine-tuning\s+simulated\.shuffled\s+not made", first)
    assert "train.csv" in first
    assert f"{RESULTS}/logs/make_task/mine.broken.log" in first
    assert re.search(r"finetune_task\s+ia3, tiny, simulated\.shuffled\s+\S", first)
    assert "Of 17 of 27 results alone" in rest


def test_no_mean_is_of_a_part_of_the_tasks_and_every_choice_says_of_what_it_is_one(page):
    assert "the best mean" not in page
    assert "Means over tasks and categories" not in page
    assert page.count("1 of the 9 results of this task are missing") == 0  # of a control
    assert "simulated.promoters" in page.partition("In short")[2]


def test_the_page_starts_no_other_job_and_follows_what_is_there(failed, page):
    workflow, arguments, _ = failed
    assert workflow.plan("report_partial", *arguments) == {}
    (workflow.folder / RESULTS / "probes/tiny/simulated.shuffled.json").unlink()
    plan = workflow.plan("report_partial", *arguments)
    assert plan == {"make_partial_report": 1, "report_partial": 1, "total": 2}
