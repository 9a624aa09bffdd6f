"""Where the workflow lies, and which library its jobs would import: what goes wrong unseen."""

import filecmp
import re
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

LIBRARY = "dnalm"
# What Snakemake fills in within a path: {wildcard} and <pathvar>.
FILLED_IN = re.compile(r"[{}]|<\w+>")


def find_errors(scripts: Path, searched: Sequence[str]) -> list[str]:
    """Return one sentence for each thing that keeps jobs from running the library in `scripts`.

    `searched` are the folders in which a job looks for modules before it looks there.
    """
    return [*_place(scripts.parent), *_other_library(scripts / LIBRARY, searched)]


def _place(folder: Path) -> Iterator[str]:
    if found := FILLED_IN.search(str(folder)):
        yield (
            f"The workflow lies in {folder}: Snakemake would fill in '{found.group()}'; move it to"
            " a folder without braces and <...> in its name."
        )


def _other_library(ours: Path, searched: Sequence[str]) -> Iterator[str]:
    """Yield what to do about a library of the same name with other code, which jobs would take."""
    spec = PathFinder.find_spec(LIBRARY, list(searched))
    if spec is None or spec.origin is None:  # a mere folder of that name gives way to a library
        return
    folder = Path(spec.origin).parent
    modules = [str(path.relative_to(ours)) for path in ours.rglob("*.py")]
    same, _, _ = filecmp.cmpfiles(ours, folder, modules, shallow=False)
    if len(same) < len(modules):
        yield (
            f"{folder} holds another version of this library, and jobs would import it in place of"
            f" {ours}: take it out of PYTHONPATH, or `pip uninstall {LIBRARY}`."
        )
