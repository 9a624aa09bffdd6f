"""What the pages of the documentation say to type: commands, overlays, keys, links."""

import re
import shlex
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
)
# What the workflow's overlays are called in examples.
OVERLAYS = ("mine.yaml", "yeast.yaml")
# Of files, whose names look like keys: run.json, genomes.tsv.
SUFFIXES = {"json", "jsonl", "tsv", "csv", "yaml", "html", "safetensors", "npy", "txt", "parquet"}


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def find_blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.M | re.S)
    return [textwrap.dedent(block) for block in found]


def find_commands(page: Path) -> list[list[str]]:
    """Return the words of each `make` and `snakemake` command, in blocks and in sentences.

    Variables before a command, comments and what follows && are cut off, `...` stands for a rest.
    """
    text = re.sub(r"^ *```(?!bash).*?^ *```", "", page.read_text(), flags=re.M | re.S)
    # Those of a block are indented, or, where its fence names bash, begin the line.
    begin = r"^(?: {4,6}|(?=\S+ --profile))(?:[A-Z_]+=\S+ )*"
    lines = re.findall(begin + r"((?:make|(?:\.venv/bin/)?snakemake) .*)$", text, re.M)
    lines += re.findall(r"`((?:make|snakemake) [^`\n]+)`", text)
    commands = []
    for line in lines:
        words = shlex.split(line.partition(" && ")[0], comments=True)
        words[0] = words[0].removeprefix(".venv/bin/")
        commands.append([word for word in words if word not in ("...", "…")])
    return commands


def find_keys(page: Path, sections: set[str]) -> list[str]:
    """Return the keys of the configuration that a page names, as `section.key`."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text)
    keys = [key for key in named if key.split(".")[0] in sections]
    return [key for key in keys if key.split(".")[-1] not in SUFFIXES]
