"""Write the pages of docs/reference that follow from the code: `make docs`.

What stands above the first generated heading of a page is written by hand and kept.
"""

from pathlib import Path

from dnalm.configuration.reference import describe_configuration
from dnalm.configuration.schema import read_schema
from dnalm.report.tables.catalogue import TABLES, describe

ROOT = Path(__file__).parents[1]


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
    }
    pages = {ROOT / "docs/reference" / name: text for name, text in generated.items()}
    return {page: _above(page, text.splitlines()[0]) + text for page, text in pages.items()}


def _above(page: Path, heading: str) -> str:
    text = page.read_text(encoding="utf-8")
    return text[: text.index(f"\n{heading}\n") + 1]


if __name__ == "__main__":
    for page, text in make_pages().items():
        page.write_text(text, encoding="utf-8")
