"""Write the pages of docs/reference that follow from the code: `make docs`.

What stands above the first generated heading of a page is written by hand and kept.
"""

import io
import os
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from dnalm.configuration.reference import describe_configuration
from dnalm.configuration.schema import read_schema
from dnalm.report.tables.catalogue import TABLES, describe

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "tests/config.yaml"


def make_pages() -> dict[Path, str]:
    """Return {page: text} of every generated page."""
    captions = {
        name: (ROOT / f"resources/captions/{name}.rst").read_text(encoding="utf-8")
        for name in TABLES
    }
    with open(ROOT / "resources/schemas/config.schema.yaml", encoding="utf-8") as file:
        schema = read_schema(file)
    config = (ROOT / "config.yaml").read_text(encoding="utf-8")
    generated = {
        "results.md": describe(captions),
        "configuration.md": describe_configuration(config, schema),
        "rules.md": describe_rules(),
    }
    pages = {ROOT / "docs/reference" / name: text for name, text in generated.items()}
    return {page: _above(page, text.splitlines()[0]) + text for page, text in pages.items()}


def describe_rules() -> str:
    """Return which rule of the demo needs which, as a diagram, and what each rule does."""
    lines = ["## The demo", "", "```mermaid", "flowchart TB"]
    with tempfile.TemporaryDirectory() as folder:
        _, edges = plan(DEMO, Path(folder))
    lines += [f"    {before} --> {after}" for before, after in sorted(edges)]
    lines += ["```", ""]
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r'^rule (\w+):\n    """(.+?)"""', text, re.M | re.S)
        lines += [f"## {path.stem}", "", "| rule | does |", "|---|---|"]
        lines += [f"| `{name}` | {' '.join(words.split())} |" for name, words in found]
        lines += [""]
    return "\n".join(lines)


def plan(overlay: Path, folder: Path) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Return {rule: jobs} and (rule, rule that needs it) of a dry run of an overlay in a folder."""
    with (
        _untouched(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api,
    ):
        workflow = api.workflow(
            snakefile=ROOT / "Snakefile",
            workdir=folder,
            resource_settings=ResourceSettings(cores=1, resources={"gpu": 1, "downloads": 1}),
            config_settings=ConfigSettings(configfiles=[overlay]),
        )
        workflow.dag(dag_settings=DAGSettings()).execute_workflow(executor="dryrun")
        dag = workflow._workflow.dag
        needs = dag.dependencies.items()
        edges = {(one.rule.name, job.rule.name) for job, ones in needs for one in ones}
        return Counter(job.rule.name for job in dag.jobs), edges


@contextmanager
def _untouched() -> Iterator[None]:
    """Put back what Snakemake and the Snakefile change of a process."""
    folder, paths, environment = Path.cwd(), list(sys.path), dict(os.environ)
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, on_term)
        os.chdir(folder)
        sys.path[:] = paths
        os.environ.clear()
        os.environ.update(environment)


def _above(page: Path, heading: str) -> str:
    text = page.read_text(encoding="utf-8")
    return text[: text.index(f"\n{heading}\n") + 1]


if __name__ == "__main__":
    for page, text in make_pages().items():
        page.write_text(text, encoding="utf-8")
