"""The targets of fuzzing by name, and the module in which each is made."""

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path

from fuzz.target import Target

# A function of the target's name, in a module here; it is given a folder for files that stay.
MODULES = {
    "sequences": ("fasta", "genome_store", "gzip_data", "download_damage"),
    "rows": ("csv_rows", "tsv_rows", "fasta_rows", "parquet_rows"),
    "labels": ("label_cells", "task_table", "task_files"),
    "intervals": ("bed", "narrow_peak", "gene_models", "motif_table", "region_types"),
    "recipes": ("windows_of_intervals", "windows_of_genes"),
    "variants": ("vcf", "bcf", "vcf_index", "populations"),
    "sheets": ("genome_sheet", "task_sheet", "assembly_summary", "published_scores"),
    "downloads": ("checksum_record", "addresses"),
    "configuration": ("configuration",),
    "models": ("run_settings", "weights", "published_model", "vocabulary", "weight_index"),
    "results": ("adapters", "embeddings", "stored_genome", "corpus_manifest", "history"),
    "door": ("tokenize", "embed", "predict"),
}


def load_targets(names: Sequence[str] | None, folder: Path) -> list[Target]:
    """Return the targets of these names, all without; what they need is made in `folder`."""
    known = {name: module for module, own in MODULES.items() for name in own}
    if unknown := set(names or ()) - known.keys():
        raise SystemExit(f"There is no target {min(unknown)}; known are {', '.join(known)}.")
    targets = []
    logging.disable(logging.INFO)  # how the files are made that targets need, nobody wants to know
    try:
        for name in names or known:
            module = importlib.import_module(f"fuzz.targets.{known[name]}")
            own = folder / name
            own.mkdir()
            targets.append(getattr(module, name)(own))
    finally:
        logging.disable(logging.NOTSET)
    return targets
