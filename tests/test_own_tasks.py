"""Tasks of one's own, as docs/how-to/own-task.md tells to add them, down to their scores."""

import json
import random

import loopback_hub
import pandas as pd
import pytest
import yaml

DEMO = "tests/config.yaml"
RESULTS = "results/own"
HUB, REVISION = "lab/promoters", "refs/convert/parquet"
ROWS = {"train": 60, "test": 30}
CONTIGS = dict.fromkeys(("one", "two", "three", "four"), 60_000)

# What the page says: a name, where the rows are, and what cannot be guessed.
TASKS = """
tasks:
  mine.csv: {path: "rows/{split}.csv"}
  mine.fasta: {path: {train: rows/train.fa, test: rows/test.fa}}
  mine.parquet:
    path: "rows/{split}.parquet"
    sequence_column: dna
    labels: {background: 0, promoter: 1}
  mine.bed:
    build: {genome: my-genome, recipe: regions, intervals: rows/peaks.bed, length: 50,
            test_contigs: [beta]}
  mine.whole: {path: rows/all.csv, test_share: 0.2}
  mine.hub: {hub: lab/promoters}
  mine.files: {hub: lab/promoters, files: "{split}.fna"}
task_sheet: rows/more.tsv
"""


def draw(split):
    """Return [(sequence, label)], of label 1 those rich in A."""
    generator = random.Random(split)
    rows = []
    for i in range(ROWS[split]):
        letters = [3, 1, 1, 1] if i % 2 else [1, 3, 1, 1]
        rows.append(("".join(generator.choices("ACGT", letters, k=50)), i % 2))
    return rows


def write_rows(folder, hub):
    """Write the rows in every form, those of a hub as its servers lay them out."""
    for split in ROWS:
        rows = draw(split)
        table = pd.DataFrame(rows, columns=["sequence", "label"])
        table.to_csv(folder / f"{split}.csv", index=False)
        fasta = "".join(f">seq{i}|{label}\n{text}\n" for i, (text, label) in enumerate(rows))
        (folder / f"{split}.fa").write_text(fasta)
        named = table["label"].map({0: "background", 1: "promoter"})
        pd.DataFrame({"dna": table["sequence"], "label": named}).to_parquet(
            folder / f"{split}.parquet"
        )
        (hub.folder(HUB, "main", "dataset") / f"{split}.fna").write_text(fasta)
        parts = hub.folder(HUB, REVISION, "dataset") / f"default/{split}"
        parts.mkdir(parents=True)
        half = len(table) // 2
        table[:half].to_parquet(parts / "0000.parquet")
        table[half:].to_parquet(parts / "0001.parquet")
    whole = pd.DataFrame(
        [row for split in ROWS for row in draw(split)], columns=["sequence", "label"]
    )
    whole.to_csv(folder / "all.csv", index=False)
    generator = random.Random(7)
    texts = {name: "".join(generator.choices("ACGT", k=20_000)) for name in ("alpha", "beta")}
    (folder / "genome.fa").write_text("".join(f">{n}\n{text}\n" for n, text in texts.items()))
    peaks = [(name, start, start + 30) for name in texts for start in range(500, 19_000, 500)]
    (folder / "peaks.bed").write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in peaks))
    (folder / "more.tsv").write_text("task\tpath\nmine.sheet\trows/{split}.csv\n")


@pytest.fixture(scope="module")
def own(make_workflow, tmp_path_factory):
    """A finished run of the tasks: its workflow and its results."""
    workflow = make_workflow()
    (workflow.folder / "rows").mkdir()
    overlay = yaml.safe_load(TASKS) | {
        "pathvars": {"results": RESULTS},
        "run": {"tasks": ["mine.*"], "predictions": []},
        "genomes": {
            "simulated": {"simulate": {"contigs": CONTIGS}},
            "my-genome": {"path": "rows/genome.fa"},
        },
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        loopback_hub.serve(tmp_path_factory.mktemp("hub")) as hub,
    ):
        write_rows(workflow.folder / "rows", hub)
        overlay["hub"] = {"server": hub.url}
        (workflow.folder / "mine.yaml").write_text(yaml.safe_dump(overlay))
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        done = workflow.run(*scores(), "--configfile", DEMO, "mine.yaml")
    assert done.returncode == 0, done.stdout
    return workflow, workflow.folder / RESULTS


def names():
    return [*yaml.safe_load(TASKS)["tasks"], "mine.sheet"]


def scores():
    """Return the files of the GC baseline, each made of one task's table alone."""
    return [f"{RESULTS}/baselines/gc_content/{name}.tsv" for name in names()]


@pytest.mark.parametrize(
    "name", ["mine.csv", "mine.fasta", "mine.parquet", "mine.hub", "mine.files", "mine.sheet"]
)
def test_every_form_gives_the_same_rows_and_its_kind_is_guessed(own, name):
    _, results = own
    table = pd.read_parquet(results / f"tasks/{name}.parquet")
    expected = [(*row, split) for split in ROWS for row in draw(split)]
    columns = (table[column] for column in ("sequence", "label", "split"))
    assert list(zip(*columns, strict=True)) == expected
    summary = json.loads((results / f"tasks/{name}.json").read_text())
    assert (summary["kind"], summary["classes"]) == ("binary", 2)


def test_one_file_is_split_class_by_class_and_all_its_rows_are_kept(own):
    _, results = own
    summary = json.loads((results / "tasks/mine.whole.json").read_text())
    assert summary["rows_per_class"] == {"train": [36, 36], "test": [9, 9]}
    table = pd.read_parquet(results / "tasks/mine.whole.parquet")
    expected = sorted(row for split in ROWS for row in draw(split))
    assert sorted(zip(table["sequence"], table["label"], strict=True)) == expected


def test_a_bed_file_on_a_genome_gives_windows_and_as_many_without(own):
    _, results = own
    summary = json.loads((results / "tasks/mine.bed.json").read_text())
    assert summary["rows_per_class"] == {"train": [37, 37], "test": [37, 37]}
    assert (summary["kind"], summary["simulated"]) == ("binary", False)
    assert summary["build"]["genome"] == "my-genome"


def test_own_tasks_are_scored(own):
    _, results = own
    for name in names():
        found = json.loads((results / f"baselines/gc_content/{name}.json").read_text())
        assert found["task"] == name


def test_one_more_task_makes_no_other_again(own):
    workflow, _ = own
    more = 'tasks={"mine.new": {"path": "rows/{split}.csv"}}'
    new = f"{RESULTS}/baselines/gc_content/mine.new.tsv"
    arguments = (*scores(), new, "--configfile", DEMO, "mine.yaml")
    plan = workflow.plan(*arguments, "--config", more)
    assert plan == {"make_task": 1, "score_baselines": 1, "total": 2}
    sheet = workflow.folder / "rows/more.tsv"
    text = sheet.read_text()
    sheet.write_text(text + "mine.new\trows/{split}.csv\n")
    assert workflow.plan(*arguments) == plan
    sheet.write_text(text)


def test_labels_of_a_later_file_replace_those_of_an_earlier(own):
    workflow, _ = own
    for name, labels in (("first", {"a": 0, "b": 1}), ("last", {"background": 0, "promoter": 1})):
        entry = {"tasks": {"mine.parquet": {"labels": labels}}}
        (workflow.folder / f"{name}.yaml").write_text(yaml.safe_dump(entry))
    files = (DEMO, "mine.yaml", "first.yaml")
    assert workflow.plan(*scores(), "--configfile", *files)["make_task"] == 1
    assert workflow.plan(*scores(), "--configfile", *files, "last.yaml") == {}


def test_files_of_a_hub_are_kept_under_the_path_of_their_address(own):
    workflow, results = own
    port = next((results / "downloads").iterdir()).name
    converted = f"{port}/datasets/lab/promoters/resolve/{REVISION}/default/train"
    parts = sorted(path.name for path in (results / "downloads" / converted).iterdir())
    assert parts == ["0000.parquet", "0001.parquet"]
    assert workflow.plan(*scores(), "--configfile", DEMO, "mine.yaml") == {}


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ('run={"tasks": ["mine.cvs"]}', "did you mean 'mine.csv'"),
        ('tasks={"mine.x": {"hub": "promoters"}}', "tasks.mine.x.hub: 'promoters' is not of the"),
        ('tasks={"mine.x": {"path": "a", "files": "b"}}', "it is read with `hub:` alone"),
        ('tasks={"mine.x": {"patch": "a"}}', "did you mean 'path'"),
        (
            'tasks={"mine.x": {"build": {"genome": "my-genom", "recipe": "regions"}}}',
            "did you mean 'my-genome'",
        ),
        ("task_sheet=rows/none.tsv", "rows/none.tsv: the task sheet cannot be read"),
    ],
)
def test_a_mistake_stops_before_any_job_with_a_sentence(own, overlay, sentence):
    workflow, _ = own
    arguments = ("--dry-run", "--configfile", DEMO, "mine.yaml", "--config", overlay)
    done = workflow.run(*arguments)
    assert done.returncode != 0
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout
