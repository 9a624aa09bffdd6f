"""The report for programs: its sentences, scores and verdicts, and how it was made, as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.report.pages.findings import findings
from dnalm.report.pages.verdicts import (
    headline_sentences,
    reproduction_sentences,
    rows_can_tell,
)
from dnalm.report.provenance import Provenance

TABLES = ("choices", "headline", "reproduction", "summary", "comparisons", "models", "tasks")


def json_report(tables: Mapping[str, pd.DataFrame], provenance: Provenance, title: str) -> str:
    """Return the report as JSON: what is missing or not a number is null."""
    controls = set(tables["tasks"].loc[tables["tasks"]["shuffled_labels"].astype(bool), "task"])
    said: Sequence[str] = [
        *headline_sentences(tables["headline"]),
        *reproduction_sentences(tables["reproduction"]),
        *rows_can_tell(tables["choices"], controls),
        *findings(tables["summary"], tables["comparisons"], tables["tasks"], tables["models"]),
    ]
    contents: dict[str, Any] = {
        "title": title,
        "made": dict(provenance.facts),
        "methods": provenance.methods,
        "findings": said,
        # pandas writes nan as null and numbers with all their digits.
        **{
            name: json.loads(tables[name].to_json(orient="records", double_precision=15))
            for name in TABLES
        },
        "configuration": provenance.configuration,
    }
    return json.dumps(contents, indent=1, ensure_ascii=False) + "\n"
