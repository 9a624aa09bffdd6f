"""Prioritisation by fine-tuning: log-odds of variants by encoders trained on other chromosomes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.tasks.kinds import BINARY
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.jobs.partial import discard
from dnalm.model.loading import read_run
from dnalm.model.token_batches import REFUSE
from dnalm.variants.prioritisation.pairs import (
    CLASSES,
    PairData,
    PairFinetuning,
    choose_windows,
    find_usable,
)
from dnalm.variants.prioritisation.results import read_set, write_supervised
from dnalm.variants.scoring import make_windows
from dnalm.variants.windows import Windows

FINETUNED = "finetuned"  # what names of scores begin with

log = logging.getLogger(__name__)


def finetune_variants(
    files: Mapping[str, str],
    settings: Mapping[str, Any],
    operation: Operation,
    partial: Path,
    threads: int,
    output: Path,
    method: str,
) -> None:
    """Fine-tune an encoder on a set for each group of chromosomes; write the log-odds of its own.

    `files` are labels, run, weights, bases, contigs and manifest; `settings` those of the entry's
    windows, `groups`, `method` and the names of set and model. Variants without label or windows
    are left out. Finished groups lie below `partial`, as does how far the others are.
    """
    pairs = prepare(files, settings)
    found = finetune(pairs, operation=operation, partial=partial, threads=threads, data=PairData)
    variants = read_set(files["labels"])
    encoder, vocabulary = read_run(files["run"])
    data = PairData(pairs, vocabulary, encoder.max_tokens)
    values = np.full(len(variants), np.nan)
    for fold in found:
        values[pairs.usable[data.test_rows(fold.fold)]] = find_log_odds(fold.outputs)
    name = f"{FINETUNED}_{method}"
    write_supervised(variants, values, name, settings["model"], describe(found, data), str(output))
    discard(partial)


def prepare(files: Mapping[str, str], settings: Mapping[str, Any]) -> PairFinetuning:
    """Return what to train on of a set; InputError where no variant has a label and windows."""
    encoder, vocabulary = read_run(files["run"])
    config = choose_windows(make_windows(settings, vocabulary.k, encoder.max_tokens))
    windows = Windows(GenomeBases(files["bases"], files["contigs"]), vocabulary, config)
    variants = read_set(files["labels"])
    usable = find_usable(variants, windows, settings["contig_names"])
    known = int(variants["label"].notna().sum())
    log.info("%d of %d variants with a label can be read", len(usable), known)
    if not len(usable):
        raise InputError(
            f"variants.{settings['set']}: not one of {known} variants with a label can be read on "
            "its genome; the reasons are in its scores, column skip."
        )
    return PairFinetuning(
        **{key: files[key] for key in ("run", "weights", "bases", "contigs", "manifest")},
        network=None,
        table=files["labels"],
        kind=BINARY.name,
        classes=CLASSES,
        config=FinetuneConfig(**settings["method"]),
        pooling=settings["pooling"],
        centre_bases=0,
        too_long=REFUSE,
        batch_tokens=settings["batch_tokens"],
        genome_windows=config,
        contig_names=settings["contig_names"],
        groups=settings["groups"],
        usable=usable,
    )


def find_log_odds(outputs: np.ndarray) -> np.ndarray:
    """Return ln p(positive) - ln p(negative), float64 [V], of probabilities [V, 2]."""
    least = np.finfo(np.float64).tiny
    negative, positive = np.log(np.maximum(outputs, least)).T
    return positive - negative


def describe(found: Sequence[Fold], data: PairData) -> list[dict[str, Any]]:
    """Return for each group its chromosomes and counts, and what training has kept."""
    rows = []
    for fold in found:
        own = data.test_rows(fold.fold)
        rows.append(
            {
                "group": fold.fold,
                "chromosomes": sorted(set(data.contigs[own].tolist())),
                "variants": len(own),
                "positives": int(data.labels[own].sum()),
                "step": fold.step,
                "validation_auc": fold.validation_score(data.finetuning.metric),
                "seconds": fold.seconds,
                "trained_parameters": fold.trained,
            }
        )
    return rows
