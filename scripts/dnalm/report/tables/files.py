"""The tables as files: TSV for people, read back as they were."""

import logging
from collections.abc import Mapping

import pandas as pd

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_tsv
from dnalm.report.tables.catalogue import BENCHMARK, TABLES
from dnalm.suggestions import nearest

log = logging.getLogger(__name__)


def write_tables(tables: Mapping[str, pd.DataFrame], paths: Mapping[str, str]) -> None:
    """Write each table to the path of its name, as TSV; raises InputError on an unknown name."""
    for name, path in paths.items():
        if name not in tables:
            raise InputError(f"There is no table {name}{nearest(name, sorted(tables))}")
        with atomic_path(path) as temporary:
            tables[name].to_csv(temporary, sep="\t", index=False)
        log.info("%s: %d rows", path, len(tables[name]))


def read_benchmark(paths: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return the tables of the benchmark from among the files of a job, by name."""
    return read_tables({table.name: paths[table.name] for table in BENCHMARK})


def read_tables(paths: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return the tables of `write_tables` by name; text that is missing is the empty string."""
    tables = {}
    for name, path in paths.items():
        # Only empty cells are missing: a population may be called NA.
        options = {"keep_default_na": False, "na_values": [""]}
        text = TABLES[name].text
        table = read_tsv(path, text, dtype=dict.fromkeys(text, "object"), **options)
        tables[name] = table.assign(**{column: table[column].fillna("") for column in text})
    return tables
