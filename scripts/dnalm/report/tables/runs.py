"""Tables of what was run: models, training curves and tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.model.config import EncoderConfig, count_parameters
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Identities, Record
from dnalm.training.history import read_history

PREFIXES = {"train": "", "validation": "validation_", "test": "test_"}
POSITIONS = ("all", "mask", "random", "kept")
OF_CONTEXT = "^(tempered|exponents|shuffled|foreign|order|composition|context)"
OVERLAPS = [
    *["train_rows_located", "test_rows_located", "test_rows_overlapping"],
    "train_rows_overlapping_fold",
]

SIZES = ("parameters", "layers", "width", "heads", "max_tokens")
TEXTS = ("untrained_of", "corpus", "positions", "feed_forward", "initialisation", "exponents")

# Counts of what was left out of a task or replaced in its sequences.
CLEANED = ("iupac_replaced", "letters_masked", "uracil_read_as_t")
CLEANED += ("rows_without_label", "rows_with_other_letters")


def models_table(
    runs: Mapping[str, dict[str, Any]],
    curves: pd.DataFrame,
    context: pd.DataFrame,
    results: Sequence[Record],
    identities: Identities,
) -> pd.DataFrame:
    """Return one row per model: its size, how far it was trained, its last held-out losses.

    `runs` are the contents of the models' run.json by name; models that were trained here come
    first, then those whose weights were given, then the untrained ones. Losses and accuracies are
    those at <mask> positions, in nats; unigram as in `curves_table`, `context` as in
    `context_table`.
    """
    weights = _list_weights(results)
    measured = context.set_index("model").filter(regex=OF_CONTEXT).to_dict("index")
    rows = []
    for name in sorted(runs, key=lambda name: _place(name, runs, identities)):
        run, encoder = runs[name], runs[name]["encoder"]
        own = curves[curves["model"] == name]
        row = {
            **{key: encoder[key] for key in ("layers", "width", "heads", "max_tokens")},
            **{key: encoder[key] for key in ("positions", "feed_forward", "initialisation")},
            "model": name,
            "untrained_of": identities.untrained_of(name) or "",
            "published_as": identities.published_model(name) or "",
            "corpus": run.get("corpus") or "",
            "source": identities.source(name),
            "licence": identities.licence(name),
            "parameters": count_parameters(EncoderConfig(**encoder)),
            "weights_sha256": weights.get(name) or "",
            **measured.get(name, {}),
            "steps": own["step"].max() if len(own) else 0,
            "training_tokens": own["tokens"].max() if len(own) else 0,
        }
        for split in ("validation", "unigram", "test"):
            at_mask = own[(own["split"] == split) & (own["positions"] == "mask")]
            for value in ("loss", "accuracy"):
                row[f"{split}_{value}"] = at_mask[value].iloc[-1] if len(at_mask) else None
        rows.append(row)
    return pd.DataFrame(rows, columns=list_columns("models"))


def add_foreign(
    models: pd.DataFrame,
    embedders: Mapping[str, dict[str, Any]],
    results: Sequence[Record],
    identities: Identities,
) -> pd.DataFrame:
    """Return a table of models with a row, at its end, for each that is not ours.

    `embedders` are the contents of their embedder.json, which models of embeddings alone have not.
    What is not known is missing: heads and parameters, of these also layers and width.
    """
    weights, rows = _list_weights(results), []
    for name in identities.models:
        if identities.is_foreign(name):
            facts = embedders.get(name, {})
            rows.append(
                {
                    **dict.fromkeys(TEXTS, ""),
                    **{key: facts.get(key) for key in ("layers", "width", "max_tokens")},
                    "model": name,
                    "published_as": identities.published_model(name) or "",
                    "source": identities.source(name),
                    "licence": identities.licence(name),
                    "weights_sha256": weights.get(name) or "",
                    **dict.fromkeys(("steps", "training_tokens"), 0),
                }
            )
    if not rows:
        return models
    added = pd.DataFrame(rows, columns=list_columns("models"))
    whole = dict.fromkeys(SIZES, "Int64")
    return pd.concat([models.astype(whole), added.astype(whole)], ignore_index=True)


def _list_weights(results: Sequence[Record]) -> dict[str, str | None]:
    """Return the hash of each model's weights, as its results have it."""
    return {r.model: r.summary.get("weights_sha256") for r in results if not r.is_baseline}


def _place(
    model: str, runs: Mapping[str, dict[str, Any]], identities: Identities
) -> tuple[bool, bool]:
    return identities.untrained_of(model) is not None, not runs[model].get("corpus")


def curves_table(histories: Mapping[str, str]) -> pd.DataFrame:
    """Return losses (nats) and accuracies per step, split and kind of position.

    `histories` is the history.jsonl of each model that was trained here; a model whose weights were
    given has none and no rows here. Splits are train, validation, test (after the last step only)
    and unigram, the baseline that knows only how often each k-mer occurs, on the validation windows
    at <mask> positions.
    """
    rows = []
    for model, path in histories.items():
        for line in read_history(path):
            for split, prefix in PREFIXES.items():
                for positions in POSITIONS:
                    ending = "" if positions == "all" else f"_{positions}"
                    values = [
                        line.get(f"{prefix}{value}{ending}") for value in ("loss", "accuracy")
                    ]
                    rows.append((model, line["step"], line["tokens"], split, positions, *values))
            values = [line.get(f"validation_unigram_{value}") for value in ("loss", "accuracy")]
            rows.append((model, line["step"], line["tokens"], "unigram", "mask", *values))
    table = pd.DataFrame(rows, columns=list_columns("curves"))
    return table.dropna(subset=["loss", "accuracy"], how="all").reset_index(drop=True)


def tasks_table(
    tasks: Mapping[str, dict[str, Any]],
    identities: Identities,
    locations: Mapping[tuple[str, str], str],
) -> pd.DataFrame:
    """Return one row per task: row counts, duplicates, hashes.

    `tasks` are the contents of the tasks' JSON by name, `locations` the files by corpus and task.
    Of rows found in a genome, `test_rows_overlapping` counts test rows that share a base with a
    training row, `train_rows_overlapping_fold` training rows that share one with a training row of
    another fold; missing when no genome was searched. Of several corpora the one in whose genomes
    most rows were found is taken.
    """
    overlaps: dict[str, dict[str, int]] = {}
    for (_, name), path in locations.items():
        counts, known = _overlaps(pd.read_parquet(path)), overlaps.get(name)
        if known is None or _located(counts) > _located(known):
            overlaps[name] = counts
    rows = []
    for name, task in tasks.items():
        published = task.get("published_rows") or {}
        rows.append(
            {
                "task": name,
                "kind": task["kind"],
                "classes": task["classes"],
                **{f"{split}_rows": task["rows"][split] for split in ("train", "test")},
                **{f"{split}_classes": _counts(task, split) for split in ("train", "test")},
                "shortest": task["lengths"]["min"],
                "median_length": task["lengths"]["median"],
                "longest": task["lengths"]["max"],
                **{f"duplicates_{where}": n for where, n in task["duplicates"].items()},
                **overlaps.get(name, {}),
                **{key: task.get(key) for key in CLEANED},  # tasks of old count the first alone
                "cross_validation": _splits(task.get("cross_validation")),
                "pooling": identities.pooling(name),
                "published_as": identities.published_task(name),
                **{f"published_{split}_rows": n for split, n in published.items()},
                "shuffled_labels": task["shuffled_labels"],
                "simulated": task["simulated"],
                "sources": ", ".join(Path(source["path"]).name for source in task["sources"]),
                "sources_sha256": ", ".join(source["sha256"] for source in task["sources"]),
                "sha256": task["sha256"],
            }
        )
    table = pd.DataFrame(rows, columns=list_columns("tasks"))
    counts = ["published_train_rows", "published_test_rows", *OVERLAPS, *CLEANED]
    return table.astype(dict.fromkeys(counts, "Int64")).sort_values("task")


def _splits(made: Mapping[str, Any] | None) -> str:
    """Return in words how a task's splits were made; "" for tasks of old, which do not say."""
    if not made:
        return ""
    by = f" by {made['group']}" if made["group"] else ""
    return f"{made['scheme'].replace('_', ' ')}{by}, {made['splits']} splits"


def _overlaps(locations: pd.DataFrame) -> dict[str, int]:
    """Return the columns OVERLAPS of one locations table."""
    found = locations[locations["genome"].notna()]
    test = found["id"].str.startswith("test.")
    counts = [(~test).sum(), test.sum()]
    counts += [found.loc[test, "overlaps_train"].sum(), found["overlaps_other_fold"].sum()]
    return dict(zip(OVERLAPS, counts, strict=True))


def _located(counts: Mapping[str, int]) -> int:
    return counts["train_rows_located"] + counts["test_rows_located"]


def _counts(task: Mapping[str, Any], split: str) -> str:
    """Return the rows (per_base: bases) of each class or label, or the range of each target."""
    if task.get("targets"):
        return " / ".join(f"{own['min']:.3g} … {own['max']:.3g}" for own in task["targets"][split])
    counts = task["rows_per_class"] or task["bases_per_class"]
    return " / ".join(map(str, counts[split]))
