"""Tab-separated tables read with pandas, checked for what is asked of them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from dnalm.errors import InputError

REBUILD = "delete the file and run again to have it rebuilt"
MAX_REASON = 200  # characters of what pandas says


def read_tsv(
    path: str | Path,
    columns: Collection[str] = (),
    *,
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
    remedy: str = REBUILD,
    **options: Any,
) -> pd.DataFrame:
    """Return a table of tab-separated values with a header; `options` are those of pandas.

    Raises InputError, which ends with the `remedy`, for a file that cannot be read or is no table,
    one that lacks one of `columns`, `numbers` or `whole`, and one where a column of `numbers` holds
    something else or a column of `whole` something else than whole numbers.
    """
    try:
        table = pd.read_csv(path, sep="\t", **options)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; {remedy}.") from None
    # What pandas raises depends on where the damage is; ParserError and the like are ValueErrors.
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise InputError(
            f"{path}: this is no table that can be read ({reason}); {remedy}."
        ) from None
    for column in (*columns, *numbers, *whole):
        if column not in table:
            raise InputError(f"{path}: the column {column} is missing; {remedy}.")
    if len(table):  # pandas gives the columns of a table without rows no type
        for names, holds, what in (
            (numbers, is_numeric_dtype, "a number"),
            (whole, is_integer_dtype, "a whole number"),
        ):
            if wrong := next((name for name in names if not holds(table[name])), None):
                raise InputError(f"{path}: a cell of the column {wrong} is not {what}; {remedy}.")
    return table
