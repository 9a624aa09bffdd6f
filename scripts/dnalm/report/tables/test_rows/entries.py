"""The results of each task whose errors are shown: the choice and the strongest baseline."""

from collections.abc import Iterator, Sequence

import pandas as pd

from dnalm.methods import BASELINE
from dnalm.report.tables.records import Record

CHOSEN, REFERENCE = "chosen", "strongest baseline"


def list_entries(results: Sequence[Record], choices: pd.DataFrame) -> Iterator[tuple[str, Record]]:
    """Yield (role, result) of each task of `choices_table`: CHOSEN, and REFERENCE if another.

    A task that nothing was chosen for has neither.
    """
    by_key = {result.key: result for result in results}
    named = choices[["task", "method", "model", "reference"]].astype(object).fillna("")
    for row in named.to_dict("records"):
        if row["method"]:
            yield CHOSEN, by_key[row["method"], row["model"], row["task"]]
        if row["reference"]:
            yield REFERENCE, by_key[BASELINE, row["reference"], row["task"]]
