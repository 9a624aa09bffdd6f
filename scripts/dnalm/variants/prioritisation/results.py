"""What the stages of prioritisation read and write: labels beside scores, in files.

Shapes: V variants of the set, D dimensions.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from dnalm.benchmark.parquet import read_names, write_parquet
from dnalm.errors import InputError
from dnalm.files import write_json
from dnalm.variants.prioritisation.allele_tables import (
    KEY,
    find_rows,
    plain_contig,
    read_variant_table,
)
from dnalm.variants.prioritisation.consequences import rank_severity
from dnalm.variants.prioritisation.evaluation import (
    EXTERNAL,
    EvaluationConfig,
    ScoreColumn,
    correlate_severity,
    evaluate,
)
from dnalm.variants.prioritisation.labelled_set import EXTERNAL_PREFIX
from dnalm.variants.prioritisation.percentiles import (
    find_percentiles,
    read_distribution,
    write_distribution,
)
from dnalm.variants.prioritisation.supervised import (
    SupervisedConfig,
    join_vectors,
    score_supervised,
)
from dnalm.variants.score_table import BY_NAME

METADATA = "dnalm"  # key of the metadata of a file of scores
# Of a file of scores, what says which variants were scored and not how.
OF_FILES = ("set", "vcf_sha256", "genome", "genome_sha256", "licence", "scores", "passes")
SUPERVISED = "supervised"
SNVS, MNVS, INDELS = "SNVs", "MNVs", "indels"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelScores:
    """The scores that one model gives V variants, why it gives none, and its options."""

    model: str
    scores: Sequence[ScoreColumn]
    skip: np.ndarray  # text [V], empty for none
    rows: np.ndarray  # int [V], of the file of scores
    options: Mapping[str, Any]


def read_set(path: str | Path) -> pd.DataFrame:
    """Return the variants of a labels.parquet."""
    table = pd.read_parquet(path)
    return table.assign(label=table["label"].astype("boolean"))


def read_scores(path: str | Path, variants: pd.DataFrame) -> ModelScores:
    """Return the scores of a model's Parquet file for V variants, each of which it has to have.

    Raises InputError for a file that lacks one, or says nothing of its options.
    """
    names = read_names(path)
    if METADATA not in names:
        raise InputError(f"{path}: its metadata do not say how scores were made; score anew.")
    options = json.loads(names[METADATA])
    table = pd.read_parquet(path)
    # As `read_alleles` has them; the file has what stands in the VCF.
    letters = {"ref": table["ref"].str.upper(), "alt": table["alt"].fillna(".").str.upper()}
    table = table.assign(**letters)
    rows = find_rows(table, variants)
    if (rows < 0).any():
        first = variants[rows < 0].iloc[0]
        raise InputError(
            f"{path}: {(rows < 0).sum():,} variants of the set are not in it, first "
            f"{first['chrom']}:{first['pos']} {first['ref']}>{first['alt']}; delete the file and "
            "run again."
        )
    own = table.iloc[rows]
    return ModelScores(
        model=options["model"],
        scores=[
            ScoreColumn(
                model=options["model"],
                name=name,
                sign=BY_NAME[name].sign,
                values=own[name].to_numpy(dtype=np.float64, na_value=np.nan),
            )
            for name in BY_NAME
            if name in table
        ],
        skip=own["skip"].fillna("").to_numpy(dtype=str),
        rows=rows,
        options={key: value for key, value in options.items() if key not in OF_FILES},
    )


def list_external(variants: pd.DataFrame, rises: Mapping[str, bool]) -> list[ScoreColumn]:
    """Return the scores of others that a set has; `rises` says which way each goes."""
    return [
        ScoreColumn(
            model=EXTERNAL,
            name=name,
            sign=1 if up else -1,
            values=variants[f"{EXTERNAL_PREFIX}{name}"].to_numpy(dtype=np.float64),
        )
        for name, up in rises.items()
    ]


def supervise(
    labels: str, scores: str, features: str, config: SupervisedConfig, output: str
) -> None:
    """Score the labelled variants of a set by probes on vectors of both alleles, and write them.

    Variants without vectors are left out. The choices of each group are in the metadata.
    """
    variants = read_set(labels)
    own = read_scores(scores, variants)
    vectors = load_file(features)
    reference, alternative = vectors["reference"][own.rows], vectors["alternative"][own.rows]
    known = variants["label"].notna().to_numpy()
    usable = known & np.isfinite(reference).all(axis=1) & np.isfinite(alternative).all(axis=1)
    values = np.full(len(variants), np.nan)
    values[usable], chosen = score_supervised(
        join_vectors(reference[usable], alternative[usable]),
        variants["label"].to_numpy(dtype=bool, na_value=False)[usable],
        variants["chrom"].map(plain_contig).to_numpy(dtype=str)[usable],
        config,
    )
    write_supervised(variants, values, SUPERVISED, own.model, chosen, output)


def write_supervised(
    variants: pd.DataFrame,
    values: np.ndarray,
    name: str,
    model: str,
    chosen: Sequence[Mapping[str, Any]],
    output: str,
) -> None:
    """Write log-odds [V] of V variants, NaN for none, as Parquet under the score's `name`.

    `chosen` says for each group of chromosomes what it is and what was chosen for it.
    """
    names = {"model": model, "score": name, "choices": json.dumps(list(chosen))}
    write_parquet(variants[KEY].assign(**{name: values}), output, names)
    log.info("%s: %d of %d variants", output, np.isfinite(values).sum(), len(variants))


def read_supervised(path: str, variants: pd.DataFrame) -> ScoreColumn:
    """Return the scores of a file of `supervise`, or of fine-tuning, for V variants."""
    table, names = pd.read_parquet(path), read_names(path)
    name = names["score"]
    values = table[name].to_numpy(dtype=np.float64)[find_rows(table, variants)]
    return ScoreColumn(model=names["model"], name=name, sign=1, values=values)


def evaluate_set(
    labels: str,
    scores: Sequence[str],
    supervised: Sequence[str],
    settings: Mapping[str, Any],
    config: EvaluationConfig,
    output: str,
) -> None:
    """Write how well all scores of a set tell its labels, and follow severity, as JSON.

    `settings` are the set's name, that of published values, `rises` of the scores of others, and
    `severity`.
    """
    variants = read_set(labels)
    models = [read_scores(path, variants) for path in scores]
    columns = [column for model in models for column in model.scores]
    columns += [read_supervised(path, variants) for path in supervised]
    columns += list_external(variants, settings["rises"])
    known = variants["label"].notna().to_numpy()
    truth = variants["label"].to_numpy(dtype=bool, na_value=False)[known]
    kinds = name_kinds(variants)
    found: dict[str, Any] = {"metrics": [], "differences": [], "curves": []}
    if known.any():
        found = evaluate(
            truth,
            [_select(column, known) for column in columns],
            [kinds[known], variants["consequence"].to_numpy(dtype=str)[known]],
            variants["chrom"].map(plain_contig).to_numpy(dtype=str)[known],
            config,
        )
    ranks = rank_severity(variants["consequence"], settings["severity"])
    for column in columns:
        if not column.known.any():
            log.warning("%s: no variant has the score %s", column.model, column.name)
    result = {
        "set": settings["set"],
        "published_as": settings["published_as"],
        "counts": json.loads(read_names(labels)["counts"])
        | {
            "positive_indels": int((truth & (kinds[known] == INDELS)).sum()),
            "negative_indels": int((~truth & (kinds[known] == INDELS)).sum()),
        },
        "models": {model.model: model.options for model in models},
        "skipped": [row for model in models for row in _count_skipped(model, variants["label"])],
        "severity": correlate_severity(
            [c for c in columns if c.known.any()], ranks, config.bootstrap
        )
        if len(np.unique(ranks[np.isfinite(ranks)])) > 1
        else [],
        "choices": [
            {"model": names["model"], "score": names["score"], **row}
            for names in map(read_names, supervised)
            for row in json.loads(names["choices"])
        ],
        **found,
    }
    write_json(output, _without_nan(result))
    log.info("%s: %d scores of %d labelled variants", output, len(columns), known.sum())


def name_kinds(variants: pd.DataFrame) -> np.ndarray:
    """Return whether each variant is an SNV, of several bases, or an indel, text [V].

    An indel moves all bases behind it, so that distances of its windows are of another size.
    """
    before, behind = variants["ref"].str.len(), variants["alt"].str.len()
    return np.select([before != behind, before == 1], [INDELS, SNVS], MNVS)


def _select(column: ScoreColumn, rows: np.ndarray) -> ScoreColumn:
    return ScoreColumn(
        model=column.model, name=column.name, sign=column.sign, values=column.values[rows]
    )


def _count_skipped(model: ModelScores, labels: pd.Series) -> list[dict[str, Any]]:
    """Return how many variants have no scores, or not all, for each reason, by label."""
    table = pd.DataFrame({"reason": model.skip, "label": labels.to_numpy(dtype=object)})
    return [
        {
            "model": model.model,
            "reason": reason,
            "variants": len(own),
            "positives": int((own["label"] == True).sum()),  # noqa: E712
            "negatives": int((own["label"] == False).sum()),  # noqa: E712
        }
        for reason, own in table[table["reason"] != ""].groupby("reason")
    ]


def _without_nan(value: Any) -> Any:
    """Return a value in which what is not a number is null, as JSON has it."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_distribution(labels: str, scores: str, output: str) -> None:
    """Write the reference distribution of a set of common variants."""
    variants = read_set(labels)
    own = read_scores(scores, variants)
    classes = variants["consequence"].to_numpy(dtype=str)
    write_distribution(own.scores, classes, own.options, output)
    log.info("%s: %d scores of %d variants", output, len(own.scores), len(variants))


def place_variants(
    labels: str, scores: str, distribution: str, min_reference: int, output: str
) -> None:
    """Write the percentile of each variant's scores among common ones of its class, as Parquet."""
    variants = read_set(labels)
    own = read_scores(scores, variants)
    reference = read_distribution(distribution, own.options)
    classes = variants["consequence"].to_numpy(dtype=str)
    table = variants[[*KEY, "id", "label", "consequence"]].assign(reference_variants=0)
    for score in own.scores:
        percentiles, sizes = find_percentiles(score, classes, reference, min_reference)
        table[score.name], table[f"{score.name}_percentile"] = score.values, percentiles
        # Common indels, for one, have some of the scores alone.
        table["reference_variants"] = np.maximum(table["reference_variants"], sizes)
    write_parquet(table, output, {"set": read_names(labels)["set"], "model": own.model})
    placed = int((table["reference_variants"] > 0).sum())
    log.info("%s: %d of %d variants have percentiles", output, placed, len(table))


def align_scores(path: str, scores: str, output: str) -> None:
    """Write the scores of the variants of a table, a row for each of its rows, as TraitGym has it.

    A variant that stands in two rows has its scores twice; one without scores has empty cells.
    """
    own = read_scores(scores, read_variant_table(path))
    table = pd.DataFrame({score.name: score.values for score in own.scores})
    write_parquet(table, output, {"model": own.model})
    log.info("%s: %d rows", output, len(table))
