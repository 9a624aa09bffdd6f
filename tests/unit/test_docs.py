"""The documentation: what it lists is what there is, and its links lead somewhere."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

from dnalm.report.tables.catalogue import TABLES, describe

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
)
CAPTIONS = {name: (ROOT / f"resources/captions/{name}.rst").read_text() for name in TABLES}


def test_the_page_of_results_describes_every_table_and_column():
    """Written by `describe`; see the failing assertion for what to put there."""
    text = (ROOT / "docs/reference/results.md").read_text()
    assert text.endswith(describe(CAPTIONS))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [li for li in links if "://" not in li and not (page.parent / li).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_the_repository_that_a_page_names_exist(page):
    tops = "|".join(["config/", "docs/", "profiles/", "resources/", "rules/", "scripts/", "tests/"])
    named = re.findall(rf"`((?:{tops})[\w./-]+)`", page.read_text())
    named = [name.split(":")[0] for name in named]
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_python_are_python(page):
    for block in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(), re.M | re.S):
        code = textwrap.dedent(block)
        if "module " not in code:  # a Snakefile
            ast.parse(code)
