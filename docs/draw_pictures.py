"""Make the pictures of the docs from a finished run: its rules, and the top of its report.

`make pictures` makes them of the demo. Run in the folder in which Snakemake was run.
"""

import json
import sys
from pathlib import Path

import vl_convert
from playwright.sync_api import sync_playwright

from dnalm.report.figures.rule_graph import rule_graph_figure
from dnalm.report.job_records import read_rule_graph
from dnalm.report.tables.catalogue import BENCHMARK
from dnalm.report.tables.files import read_benchmark
from dnalm.report.tables.stages import stages_table

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1200, "height": 1150}
BROWSER = "/usr/bin/chromium"


def draw_rules(results: Path) -> str:
    """Return the rules behind the report of a run as SVG."""
    paths = {table.name: str(results / "tables" / f"{table.name}.tsv") for table in BENCHMARK}
    stages = stages_table(results / "benchmarks", read_benchmark(paths))
    seconds = dict(zip(stages["stage"], stages["seconds"], strict=True))
    graph = read_rule_graph("make_report", paths.values())
    return vl_convert.vegalite_to_svg(json.dumps(rule_graph_figure(graph, seconds, "")))


def photograph(page: Path, picture: Path) -> None:
    """Write what a reader sees first of a page, as JPEG."""
    with sync_playwright() as driver:
        window = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = window.new_page(viewport=SIZE)
        opened.goto(page.resolve().as_uri())
        opened.wait_for_function("document.documentElement.dataset.sortable === 'ready'")
        opened.screenshot(path=picture, type="jpeg", quality=72)
        window.close()


if __name__ == "__main__":
    run = Path(sys.argv[1])
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "rules.svg").write_text(draw_rules(run), encoding="utf-8")
    photograph(run / "report.html", PICTURES / "report.jpg")
