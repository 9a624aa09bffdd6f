"""Which rule made which file from which, from the records that Snakemake keeps of finished jobs."""

import json
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDS = Path(".snakemake", "metadata")  # of the working directory
MAX_NAME = 254  # letters of a file name, from which on a record's name goes on in a folder below


@dataclass(frozen=True, kw_only=True)
class RuleGraph:
    """The rules behind some files: for each those whose files it `reads`, and its `jobs`."""

    reads: Mapping[str, frozenset[str]]
    jobs: Mapping[str, int]


def read_rule_graph(rule: str, files: Iterable[str], folder: str | Path = RECORDS) -> RuleGraph:
    """Return the rules behind `files`, which a job of `rule` reads, and that rule itself.

    Walks back from file to file as far as there are records: other people's files have none, nor
    have results that came with a copied folder, or all of a run that keeps records elsewhere.
    """
    reads: dict[str, set[str]] = defaultdict(set)
    jobs: dict[str, set[Any]] = defaultdict(set)
    jobs[rule].add("this")
    makers: dict[str, str | None] = {}
    waiting = [(rule, str(path)) for path in files]
    while waiting:
        reader, path = waiting.pop()
        if path not in makers:
            record = _read_record(Path(folder), path)
            makers[path] = record and record["rule"]
            if record:
                jobs[record["rule"]].add(tuple(record["log"]) or path)
                waiting += [(record["rule"], above) for above in record["input"]]
        maker = makers[path]
        if maker and maker != reader:
            reads[reader].add(maker)
    return RuleGraph(
        reads={name: frozenset(reads[name]) for name in jobs},
        jobs={name: len(own) for name, own in jobs.items()},
    )


def _read_record(folder: Path, path: str) -> dict[str, Any] | None:
    """Return the record of a file, None where there is none that can be read."""
    name = urlsafe_b64encode(path.encode()).decode()
    parts = [name[i : i + MAX_NAME] for i in range(0, len(name), MAX_NAME)]
    try:
        record = json.loads(
            folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1]).read_text()
        )
    except (OSError, ValueError):
        return None
    known = isinstance(record, dict) and isinstance(record.get("rule"), str)
    if not known or record.get("incomplete"):
        return None
    return {key: record.get(key) or [] for key in ("log", "input")} | {"rule": record["rule"]}
