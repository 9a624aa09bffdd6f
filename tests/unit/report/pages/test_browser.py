"""The page in a real browser: no error, no request, tables that sort, filter and export."""

import csv
import json
import re
import subprocess

import pytest

from dnalm.report.finished import Missing
from dnalm.report.gaps import Gaps, StoppedJob, mark_gaps
from dnalm.report.job_records import RuleGraph
from dnalm.report.pages.benchmark import ReportConfig, make_page
from dnalm.report.pages.companions import Companion
from dnalm.report.provenance import Provenance
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.stages import stages_table

RULES = {"make_report": {"make_tables"}, "make_tables": {"pretrain", "probe_task"}}
RULES |= {"probe_task": {"pretrain"}, "pretrain": set()}
GRAPH = RuleGraph(
    reads={rule: frozenset(read) for rule, read in RULES.items()}, jobs=dict.fromkeys(RULES, 2)
)
MADE = Provenance(
    facts=[("dnalm", "0.0")], configuration="a: 1", methods="M", citations="C", rules=GRAPH
)
BESIDE = [Companion(file="variants.html", name="Variants", sentences=["clinvar: 1 of 2 scores."])]

CONFIG = ReportConfig(
    title="A page",
    statistic="mean_2sd",
    bootstrap={"draws": 200, "seed": 1, "level": 0.95},
    correction="holm",
    equal=0.02,
    leak="overlap",
)
# Appended to the page: uses it as a reader does and leaves what it saw for --dump-dom.
USE = """
<script>
const seen = { errors: [], requests: [] };
window.addEventListener("error", (event) => seen.errors.push(event.message));
window.addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
const said = console.error;
console.error = (...words) => { seen.errors.push(words.join(" ")); said(...words); };
// Read where it is made: a blob is read by another process, for which virtual time does not wait.
seen.exported = "";
window.Blob = class extends Blob {
  constructor(parts, options) {
    super(parts, options);
    seen.exported += parts.filter((part) => typeof part === "string").join("");
  }
};
window.addEventListener("load", () => setTimeout(async () => {
  const table = ACT;
  const cells = (row) => [...row.cells].map((cell) => cell.textContent);
  const body = () => [...table.tBodies[0].rows].map(cells);
  const place = cells(table.tHead.rows[0]).findIndex((text) => text.trim() === "COLUMN");
  const heading = table.tHead.rows[0].cells[place];
  heading.click();
  await new Promise((done) => setTimeout(done, 200));
  seen.sorted = body().map((row) => row[place]);
  const box = table.closest(".dt-container").querySelector("input[type=search]");
  box.value = "FILTER";
  box.dispatchEvent(new Event("input"));
  await new Promise((done) => setTimeout(done, 200));
  seen.filtered = body().map((row) => row.join(" "));
  table.closest(".dt-container").querySelector(".buttons-csv").click();
  await new Promise((done) => setTimeout(done, 200));
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const drawn = (chart) => chart.querySelectorAll("svg.marks").length;
  seen.charts = [...document.querySelectorAll(".chart")].map(drawn);
  const note = document.createElement("script");
  note.type = "application/json";
  note.id = "seen";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
}, 500));
</script>
"""


@pytest.fixture
def source(shared_tables, tmp_path):
    paths = {name: str(tmp_path / f"{name}.tsv") for name in shared_tables}
    write_tables(shared_tables, paths)
    tables = read_tables(paths)
    return make_page(tables, stages_table(tmp_path / "none", tables), CONFIG, MADE, BESIDE)


@pytest.fixture
def unfinished(shared_tables, tmp_path):
    """The page of a run with failed jobs, one of whose names is markup."""
    paths = {name: str(tmp_path / f"{name}.tsv") for name in shared_tables}
    write_tables(shared_tables, paths)
    tables = read_tables(paths)
    log = tmp_path / "job.log"
    log.write_text("ValueError: <b>wrong</b>")
    missing = Missing(method="ia3", model="<i>big</i>", task="simulated.promoters", reason="why")
    gaps = Gaps(
        expected=dict.fromkeys(tables["choices"]["task"], 3),
        missing=[missing],
        jobs=[StoppedJob(rule="finetune_task", wildcards={"model": "<i>big</i>"}, log=str(log))],
        files=["results/variants.html"],
    )
    stages = stages_table(tmp_path / "none", tables)
    return make_page(mark_gaps(tables, gaps), stages, CONFIG, MADE, BESIDE, gaps)


def open_page(browser, page, folder):
    """Return what a browser without a network has made of a page."""
    path = folder / "page.html"
    path.write_text(page)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"]
    done = subprocess.run(
        [*command, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<script type="application/json" id="seen">(.*?)</script>', done.stdout)
    return json.loads(found[1])


def test_a_page_works_without_a_network_and_its_tables_sort_filter_and_export(
    browser, source, tmp_path
):
    table = '[...document.querySelectorAll("table")].find((t) => t.caption.textContent.startsWith('
    use = USE.replace("ACT", f'{table}"Test scores: mean"))')
    use = use.replace("COLUMN", "MCC").replace("FILTER", "enhancers")
    seen = open_page(browser, source.replace("</head>", f"{use}</head>", 1), tmp_path)
    assert seen["errors"] == []
    assert seen["requests"] == []
    assert seen["charts"]
    assert set(seen["charts"]) == {1}
    numbers = [float(cell.replace("−", "-").split()[0]) for cell in seen["sorted"]]
    assert numbers == sorted(numbers)
    assert min(numbers) < 0 < max(numbers)
    assert len(seen["filtered"]) == 5
    assert all("simulated.enhancers" in row for row in seen["filtered"])
    heading, *rows = filter(None, csv.reader(seen["exported"].splitlines()))
    assert heading[:4] == ["task", "method", "splits", "MCC"]
    assert [row[0] for row in rows] == ["simulated.enhancers"] * 5


def test_axe_finds_nothing_on_the_page_and_paper_holds_every_column(source, inspect):
    assert inspect(source) == []


def test_axe_finds_nothing_on_the_page_of_an_unfinished_run(unfinished, inspect):
    assert inspect(unfinished) == []
    first = unfinished.partition('id="short"')[0]
    assert "1 of 9 results are missing" in first
    assert "ValueError: &lt;b&gt;wrong" in first
    assert "<i>big" not in unfinished


BROKEN = """<html lang="en"><head><title>T</title></head><body><main><h1>T</h1>
<img src="data:,"><p style="color: #777; background: #999">pale</p>
<table style="width: 3000px"><tr><td>wide</td></tr></table></main>
<script>document.documentElement.dataset.sortable = "ready"; null.x;</script></body></html>"""


def test_what_is_wrong_with_a_page_is_found(inspect):
    wrong = "\n".join(inspect(BROKEN))
    for fault in ("image-alt", "color-contrast", "cut off on paper", "wider", "null"):
        assert fault in wrong
