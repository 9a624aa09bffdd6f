"""The sheet of the paper's tasks, a user's own sheets, and what entries of tasks resolve to."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from dnalm.configuration import resolve
from dnalm.configuration.builds import list_build_files
from dnalm.configuration.task_sheet import add_sheets, list_sheets, read_task_sheet
from dnalm.errors import InputError

ROOT = Path(__file__).parents[3]
SHEET = ROOT / "resources/tasks.tsv"
MARKS = ["H2AFZ", "H3K27ac", "H3K27me3", "H3K36me3", "H3K4me1", "H3K4me2", "H3K4me3", "H3K9ac"]
MARKS += ["H3K9me3", "H4K20me1"]


def config_with(tasks, **changes):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | changes
    config["tasks"] = tasks
    add_sheets(config, [SHEET])
    return config


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_shipped_sheet_holds_both_sets_of_18_tasks_and_their_rebuilt_form():
    tasks = read_task_sheet(SHEET)
    sets = Counter(name.split(".")[0] for name in tasks)
    assert sets == {"revised": 18, "original": 18, "rebuilt": 18}
    for name, task in tasks.items():
        assert {"kind", "classes", "length", "rows"} <= task.keys()
        assert ("build" in task) == name.startswith("rebuilt.") != ("url" in task)
    for mark in MARKS:
        assert tasks[f"rebuilt.{mark}"]["build"]["recipe"] == "peaks"
    rows = {name: tasks[f"revised.{name}"]["rows"] for name in ("H3K9ac", "promoter_tata")}
    assert rows["H3K9ac"] == {"train": 23274, "test": 1004}
    assert rows["promoter_tata"] == {"train": 5062, "test": 212}
    assert tasks["original.H4"]["rows"] == {"train": 13140, "test": 1461}
    assert sum(task["rows"]["train"] for task in tasks.values()) == 461_850 + 2 * 505_774


def test_every_row_of_the_shipped_sheet_has_a_grade_and_a_source():
    lines = [line for line in SHEET.read_text().splitlines() if not line.startswith("#")]
    header = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=True))
        assert row["grade"] in {"verified", "reported", "unverified"}
        assert row["source"]


def test_rebuilt_tasks_name_their_primary_sources():
    config = config_with({})
    files = {
        name.split(".")[1]: list_build_files(task["build"])
        for name, task in config["tasks"].items()
        if name.startswith("rebuilt.")
    }
    assert files["H2AFZ"]["intervals"] == [
        "https://www.encodeproject.org/files/ENCFF213OTI/@@download/ENCFF213OTI.bed.gz"
    ]
    assert len({files[mark]["intervals"][0] for mark in MARKS}) == 10
    assert files["promoter_tata"]["motifs"][0].endswith("promoter_motifs.txt")
    assert "motifs" not in files["promoter_all"]
    assert len(files["enhancers_types"]["intervals"]) == 2
    assert files["enhancers_types"]["types"][0].endswith("WM20190703.txt.gz")
    assert files["splice_sites_donors"]["annotation"][0].endswith("gencode.v44.annotation.gtf.gz")
    downloads = resolve.list_downloads(config, {}, [f"rebuilt.{name}" for name in files])
    assert len(resolve.merge_downloads(downloads)) == 10 + 2 + 2 + 1 + 1


def test_an_entry_of_tasks_holds_only_what_differs_from_the_sheet():
    change = {"revised.H3K9ac": {"url": None, "path": "{split}.csv"}, "mine.x": {"path": "x"}}
    config = config_with(change)
    resolve.drop_removed(config)
    task = resolve.resolve_task(config, "revised.H3K9ac")
    assert "url" not in task
    assert (task["path"], task["classes"], task["length"]) == ("{split}.csv", 2, 1000)
    assert list(config["tasks"])[-1] == "mine.x"


def test_labels_of_an_entry_replace_those_of_its_row(tmp_path):
    row = "{recipe: regions, genome: g, intervals: x.bed, labels_by_name: {'.*': 1}}"
    sheet = write(tmp_path / "x.tsv", "task\tlabels\tbuild", f"a.x\t\t{row}", "a.y\t{x: 0, y: 1}")
    change = {"a.x": {"build": {"labels_by_name": {"p": 1, ".*": 2}}}, "a.y": {"labels": {"z": 0}}}
    config = {"tasks": change}
    add_sheets(config, [sheet])
    assert config["tasks"]["a.y"] == {"labels": {"z": 0}}
    build = config["tasks"]["a.x"]["build"]
    assert list(build["labels_by_name"].items()) == [("p", 1), (".*", 2)]
    assert build["intervals"] == "x.bed"


def test_labels_of_a_later_layer_stand_alone():
    below = {"build": {"labels_by_name": {".*": 1}, "seed": 1, "recipes": {"r": {"length": 2}}}}
    later = {"build": {"labels_by_name": {"x": 2}, "recipes": {"r": {"labels_by_kind": {"d": 1}}}}}
    config = resolve.merge(below, later)
    resolve.replace_labels(config, later)
    assert config["build"]["labels_by_name"] == {"x": 2}
    assert config["build"]["seed"] == 1
    assert config["build"]["recipes"] == {"r": {"length": 2, "labels_by_kind": {"d": 1}}}
    for wrong in ({"tasks": 1}, {"build": {"recipes": 1}}, {"build": None}):  # the schema will say
        resolve.replace_labels(resolve.merge(below, wrong), wrong)


def test_a_sheet_of_ones_own_may_be_of_tabs_or_commas(tmp_path):
    build = "{recipe: regions, genome: g, intervals: x.bed}"
    tabs = write(
        tmp_path / "a.tsv",
        "# a note",
        "task\tpath\tclasses\ttrain_rows\ttest_rows\ttest_sha256\tlabels\tbuild\tsource",
        "mine.a\t{split}.csv\t3\t20\t10\tab\t{'0': 0, a: 1}\t\tours",
        f"mine.b\t\t\t\t\t\t\t{build}",
    )
    assert read_task_sheet(tabs) == {
        "mine.a": {
            "path": "{split}.csv",
            "classes": 3,
            "rows": {"train": 20, "test": 10},
            "sha256": {"test": "ab"},
            "labels": {"0": 0, "a": 1},
        },
        "mine.b": {"build": {"recipe": "regions", "genome": "g", "intervals": "x.bed"}},
    }
    commas = write(tmp_path / "b.csv", "task,hub,files", "mine.c,user/name,{split}.fna")
    assert read_task_sheet(commas) == {"mine.c": {"hub": "user/name", "files": "{split}.fna"}}
    assert list_sheets({"task_sheet": str(tabs)}) == [str(tabs)]
    assert list_sheets({"task_sheet": ["a", "b"]}) == ["a", "b"]
    assert list_sheets({"task_sheet": None}) == list_sheets({"task_sheet": 3}) == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["task\tpat"], r"x:1: the column 'pat' is unknown; did you mean 'path'\?"),
        (["path\tkind"], r"x:1: the header has no column 'task'"),
        (["task\tkind\tkind"], r"x:1: the header has a column twice"),
        (["#"], r"x: the task sheet is empty"),
        (["task\tpath", "a.b\tc\td"], r"x:2: the row has 3 cells under 2 columns"),
        (["task\tpath", "\tc"], r"x:2: the row has no name"),
        (["task\tpath", "a.b\tc", "a.b\td"], r"x:3: 'a.b' is listed twice"),
        (["task\tclasses", "a.b\ttwo"], r"x:2: the classes is 'two'; give a whole number"),
        (["task\ttrain_rows", "a.b\t-1"], r"x:2: the rows is '-1'; give a whole number"),
        (["task\tbuild", "a.b\tpromoters"], r"the cell 'build' is no mapping .*'promoters'"),
        (["task\tbuild", "a.b\t{a: ["], r"x:2: the cell 'build' is no mapping"),
        (["task\tbuild", "a.b\t" + "[" * 3000], r"x:2: the cell 'build' is no mapping"),
        (
            ["task\tbuild", "a.b\t{a: 2024-13-45}"],
            r"no mapping of texts and numbers .*dates in quotes",
        ),
        (
            ["task\tbuild", "a.b\t{a: 2024-01-02}"],
            r"no mapping of texts and numbers .*dates in quotes",
        ),
        (["task\tbuild", "a.b\t{a: &x [*x]}"], r"x:2: the cell 'build' is no mapping"),
        (["task\tbuild", "a.b\t{a: &x [1], b: *x}"], r"no mapping .*, each key once"),
        (["task\tlabels", "a.b\t{a: 0, a: 1}"], r"no mapping .*, each key once"),
        (["task\tbuild", "a.b\t{a: 2001-12-14t21:59:43 +99:99}"], r"dates in quotes\.$"),
        (["task\tbuild", "a.b\t{2001-12-14: 1}"], r"dates in quotes\.$"),
        (["task\tbuild", f"a.b\t{{a: {'9' * 5000}}}"], r"x:2: the cell 'build' is no mapping"),
        (["task\tlength", f"a.b\t{'9' * 5000}"], r"x:2: the length is '9{60}'; give a whole"),
        (["task\tlength", "a.b\t²"], r"x:2: the length is '²'; give a whole number"),
    ],
)
def test_a_bad_sheet_is_one_sentence(tmp_path, lines, sentence):
    path = write(tmp_path / "x", *lines)
    with pytest.raises(InputError, match=sentence):
        read_task_sheet(path)


def test_a_missing_sheet_and_a_task_of_two_sheets_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.tsv: the task sheet cannot be read .*_sheet"):
        read_task_sheet(tmp_path / "nowhere.tsv")
    again = write(tmp_path / "x.tsv", "task\tpath", "original.H3\tmine.csv")
    with pytest.raises(InputError, match=r"x.tsv: 'original.H3' is also in another task sheet"):
        add_sheets({"tasks": {}}, [SHEET, again])


@pytest.mark.parametrize(
    ("entry", "revision", "patterns"),
    [
        ({"hub": "a/b"}, "refs/p", {"train": ["d/train/*.parquet"], "test": ["d/test/*.parquet"]}),
        (
            {"hub": "a/b", "files": "{name}/{split}.fna"},
            "main",
            {"train": ["x/train.fna"], "test": ["x/test.fna"]},
        ),
        (
            {"hub": "a/b", "files": {"train": ["1", "2"], "test": "3"}, "revision": "f/1"},
            "f/1",
            {"train": ["1", "2"], "test": ["3"]},
        ),
        (
            {"hub": "a/b", "files": {"train": {0: "n", 1: "p"}}, "test_share": 0.1},
            "main",
            {"train": ["n", "p"], "test": []},
        ),
    ],
)
def test_of_a_data_set_of_a_hub_files_are_fetched_that_a_list_names(entry, revision, patterns):
    converted = {"revision": "refs/p", "files": "d/{split}/*.parquet"}
    hub = {"server": "https://h.org", "revision": "main", "converted": converted}
    config = config_with({"mine.x": entry}, hub=hub)
    own = {"kind": "dataset", "name": "a/b", "revision": revision, "server": "https://h.org"}
    assert resolve.resolve_data_set(config, "mine.x") == {**own, "patterns": patterns}
    assert resolve.list_downloads(config, {}, ["mine.x"]) == []


def test_where_a_file_is_does_not_decide_a_table():
    here = config_with({"mine.x": {"path": "here/{split}.csv"}})
    there = config_with({"mine.x": {"url": "https://h.org/{split}.csv", "published_as": "y"}})
    assert resolve.describe_rows(here, "mine.x") == resolve.describe_rows(there, "mine.x")


def test_how_its_vectors_are_pooled_does_not_decide_a_table_but_a_sum_of_its_files_does():
    build = {"genome": "grch38", "recipe": "regions", "intervals": "x.bed"}
    for entry, summed in (
        ({"path": "{split}.csv"}, {"sha256": {"train": "a" * 64}}),
        ({"build": build}, {"build": build | {"sha256": {"intervals": "a" * 64}}}),
    ):
        plain, pooled, checked = (
            resolve.describe_rows(config_with({"mine.x": entry | more}), "mine.x")
            for more in ({}, {"pooling": "centre"}, summed)
        )
        assert pooled == plain
        assert checked != plain
