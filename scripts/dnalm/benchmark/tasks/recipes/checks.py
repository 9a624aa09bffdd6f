"""What a genome and its annotation must be before windows are cut, and which elements are lost."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dnalm.benchmark.tasks.recipes.elements import Elements
from dnalm.benchmark.tasks.recipes.recipe import Files
from dnalm.benchmark.tasks.recipes.table import find_recipe
from dnalm.benchmark.tasks.recipes.window_sampler import WindowSampler
from dnalm.errors import InputError
from dnalm.suggestions import listing, nearest_first

DROPPED_FATES = ("longer", "contradicting", "repeated")  # fates of elements with a label
MAX_LIST = 200  # characters of a list of contigs in a message

logger = logging.getLogger(__name__)


def check_records(
    elements: Elements, sampler: WindowSampler, build: Mapping[str, Any], files: Files
) -> dict[str, Any]:
    """Return how many records there are, and how many of them give no window for which reason.

    `elements` are those with a label on the contigs that are used.

    Raises InputError when none is on a contig of the genome, or one reaches over a contig's end.
    """
    records = elements.records
    source = ", ".join(map(str, files[find_recipe(build["recipe"]).source]))
    used = records["contig"].isin(sampler.pieces)
    if not used.any():
        found = records["contig"].unique().tolist()
        raise InputError(
            f"{source} names no element inside genome {build['genome']}: its {len(records):,} "
            f"records are on {listing(found)}, the genome's contigs are "
            f"{listing(nearest_first(found[0], sampler.pieces))}: give both the same names "
            "(`contigs` of the genome renames its records)."
        )
    if not used.all():
        logger.warning(
            "%s: %d of %d records are on contigs that genome %s does not hold or the task does not "
            "use, as %s; they are left out.",
            source,
            (~used).sum(),
            len(records),
            build["genome"],
            records.loc[~used, "contig"].iloc[0],
        )
    # A stored piece that begins elsewhere has its elements outside rightly, a whole contig has not.
    whole = {c: max(last for _, last in p) for c, p in sampler.pieces.items() if p[0][0] == 0}
    beyond = records[records["end"] > records["contig"].map(whole).fillna(np.inf)]
    if len(beyond) and build["outside"] == "refuse":
        first = beyond.iloc[0]
        raise InputError(
            f"{source}: {len(beyond):,} of {len(records):,} records reach over the end of their "
            f"contig in genome {build['genome']}, the first is {first['contig']}:{first['start']}-"
            f"{first['end']} of {whole[first['contig']]:,} bases: give the file of this assembly, "
            "or set build.outside: drop if only a part of the contig is stored."
        )
    fates = records.loc[used, "fate"].value_counts()
    fates = fates.reindex(["without_label", *DROPPED_FATES], fill_value=0)
    if fates["contradicting"]:
        logger.warning(
            "%s: %d of %d records have the same window as one with another label; they are left "
            "out.",
            source,
            fates["contradicting"],
            len(records),
        )
    return {
        "records": len(records),
        "records_on_other_contigs": int((~used).sum()),
        "records_without_label": int(fates["without_label"]),
        "elements": int(used.sum() - fates["without_label"]),
        **{f"dropped_{fate}": int(fates[fate]) for fate in DROPPED_FATES},
    }


def check_split(
    split: str,
    contigs: Sequence[str],
    here: np.ndarray,
    inside: np.ndarray,
    has_gap: np.ndarray,
    name: str,
) -> None:
    """Raise InputError for a split with contigs and without a window."""
    if contigs and not (here & inside & ~has_gap).any():
        raise InputError(
            f"Task {name} has no {split} rows: of the {int(here.sum()):,} elements with a label on "
            f"{', '.join(contigs)[:MAX_LIST]}, {int((here & ~inside).sum()):,} reach over an end "
            f"and {int((here & has_gap).sum()):,} hold an N: choose other build.test_contigs or "
            "build.contigs."
        )
