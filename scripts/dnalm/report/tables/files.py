"""The tables as files: TSV for people, read back as they were."""

import logging
from collections.abc import Mapping

import pandas as pd

from dnalm.errors import InputError
from dnalm.files import atomic_path

# Read as text: a contig may be named 20, and a column may be empty in every row.
TEXT = [
    *["method", "model", "task", "against", "reference", "verdict", "region", "reason"],
    *["reference_method", "contigs_from", "models"],
    *["published_model", "published_method", "published_data_set", "published_as"],
    *["genome", "genomes", "species", "accession", "source", "sources", "corpus", "split"],
    *["held_out", "licence"],
    *["untrained_of", "sha256", "sources_sha256", "weights_sha256", "vocabulary", "feature"],
    *["kind", "metric", "pooling", "embeddings", "train_classes", "test_classes"],
    *["group", "corpora", "kmer", "panel", "draw", "sample", "population", "superpopulation"],
]

log = logging.getLogger(__name__)


def write_tables(tables: Mapping[str, pd.DataFrame], paths: Mapping[str, str]) -> None:
    """Write each table to the path of its name, as TSV; raises InputError on an unknown name."""
    for name, path in paths.items():
        if name not in tables:
            raise InputError(f"There is no table {name}; known are {', '.join(sorted(tables))}.")
        with atomic_path(path) as temporary:
            tables[name].to_csv(temporary, sep="\t", index=False)
        log.info("%s: %d rows", path, len(tables[name]))


def read_tables(paths: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Return the tables of `write_tables` by name; text that is missing is the empty string."""
    tables = {}
    for name, path in paths.items():
        # Only empty cells are missing: a population may be called NA.
        options = {"keep_default_na": False, "na_values": [""]}
        table = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(TEXT, "object"), **options)
        text = [column for column in TEXT if column in table]
        tables[name] = table.assign(**{column: table[column].fillna("") for column in text})
    return tables
