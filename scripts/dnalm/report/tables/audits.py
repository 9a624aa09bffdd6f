"""The audits of a run's tasks as tables: rows that resemble others, and what models have read."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.benchmark.audit.contigs import share_contigs
from dnalm.benchmark.audit.levels import RELATIONS
from dnalm.benchmark.scoring.bootstrap import HELD_OUT, NO_SPLIT, NOT_FOUND, USED, region_masks
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Identities

FROM_SOURCE = "the task"  # its rows say themselves where they were cut
RELATED = RELATIONS[:0:-1]  # the closest first
COUNTED = ("test_in_train", "train_in_other_folds", "within_train", "within_test")
EXPOSURE = {
    "on_used": USED,
    "on_held_out": HELD_OUT,
    "on_neither": NO_SPLIT,
    "nowhere": NOT_FOUND,
}


def audits_table(
    audits: Mapping[str, Mapping[str, Any]], locations: Mapping[tuple[str, str], str]
) -> pd.DataFrame:
    """Return one row per task from its audit: related rows, confounding, shared contigs.

    `audits` are by task, `locations` the files by corpus and task.
    Contigs are those that the task's rows name; of others, those on which they were found in the
    genomes of a corpus (`contigs_from`), of several corpora the one that holds most.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for (corpus, task), path in locations.items():
        shared = _located(pd.read_parquet(path, columns=["id", "genome", "contig"]))
        known = found.get(task)
        if shared and (known is None or _placed(shared) > _placed(known[1])):
            found[task] = (corpus, shared)
    rows = []
    for task, audit in audits.items():
        own = audit["contigs"]
        source, shared = (FROM_SOURCE, own) if own else found.get(task, ("", None))
        rows.append(
            {
                "task": task,
                **{f"{split}_rows": audit["rows"][split] for split in ("train", "test")},
                **{f"{where}_{name}": audit[where][name] for where in COUNTED for name in RELATED},
                "other_labels": audit["other_labels"],
                **{
                    # Audits of old did not look at the strand.
                    f"{what}_strength": audit["confounding"].get(what, {}).get("strength")
                    for what in ("gc", "length", "strand")
                },
                "repeats_not_followed": audit["repeats_not_followed"],
                "too_short": audit.get("too_short"),  # audits of old did not count them
                "contigs_from": source,
                **({} if shared is None else _contigs(shared)),
            }
        )
    table = pd.DataFrame(rows, columns=list_columns("audits"))
    counts = ["too_short", "train_placed", "test_placed", "shared_contigs", "test_rows_shared"]
    return table.astype(dict.fromkeys(counts, "Int64")).sort_values("task", ignore_index=True)


def exposure_table(
    identities: Identities,
    locations: Mapping[tuple[str, str], str],
    corpora: Mapping[str, str | None],
) -> pd.DataFrame:
    """Return for each task and corpus how many test rows lie where its models were pretrained.

    `locations` are the files by corpus and task; `corpora` names each model's corpus; models that
    are not trained are left out.
    """
    rows = []
    for (corpus, task), path in locations.items():
        table = pd.read_parquet(path)
        table = table[table["id"].str.startswith("test.")]
        masks = region_masks(table["id"].to_numpy(), table)
        models = [
            model
            for model, own in corpora.items()
            if own == corpus and identities.untrained_of(model) is None
        ]
        rows.append(
            {
                "task": task,
                "corpus": corpus,
                "models": ", ".join(models),
                "rows": len(table),
                **{name: int(masks[region].sum()) for name, region in EXPOSURE.items()},
            }
        )
    table = pd.DataFrame(rows, columns=list_columns("exposure"))
    return table.sort_values(["task", "corpus"], ignore_index=True)


def _located(locations: pd.DataFrame) -> dict[str, Any] | None:
    """Return the shared contigs of one locations table; a contig has its genome's name before."""
    contig = (locations["genome"] + ":" + locations["contig"]).astype(object)
    return share_contigs(contig.where(contig.notna(), None), locations["id"].str.split(".").str[0])


def _placed(shared: Mapping[str, Any]) -> int:
    return sum(shared["placed"].values())


def _contigs(shared: Mapping[str, Any]) -> dict[str, int]:
    return {
        **{f"{split}_placed": shared["placed"][split] for split in ("train", "test")},
        "shared_contigs": len(shared["shared"]),
        "test_rows_shared": shared["test_rows_shared"],
    }
