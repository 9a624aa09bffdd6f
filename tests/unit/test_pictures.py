"""The pictures of the docs are shown, small, and made by the script that says so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 300_000  # bytes, together


def test_every_picture_is_shown_and_all_are_small():
    pages = [page.read_text() for page in (ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"!\[[^\]]+\]\([^)]*?([^/)]+)\)", page)}
    files = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert shown == set(files)
    assert sum(files.values()) < LARGEST


def test_the_picture_of_the_rules_names_rules_of_the_workflow():
    known = set()
    for path in (ROOT / "rules").glob("*.smk"):
        known |= set(re.findall(r"^rule (\w+):", path.read_text(), flags=re.MULTILINE))
    words = re.findall(r">([a-z_]+)</text>", (PICTURES / "rules.svg").read_text())
    assert len(words) > 10
    assert set(words) <= known
