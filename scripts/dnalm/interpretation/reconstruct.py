"""Reconstruction of the windows of an annotation, from files to files, beside two baselines."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.parquet import write_parquet
from dnalm.files import atomic_path
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import bases_per_token
from dnalm.interpretation.annotated import Annotated
from dnalm.interpretation.markov import MarkovModel, contexts_before
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress

EVERYTHING = "all"  # in the place of an element: all tokens that were masked
MARKOV_BASES = 20_000_000  # of a contig, which suffice for the counts of 6-mers

log = logging.getLogger(__name__)


def reconstruct_windows(
    files: Mapping[str, str], settings: Mapping[str, Any], outputs: Mapping[str, str | Path]
) -> None:
    """Write accuracy and perplexity of masked tokens by element, beside those of baselines.

    `summary` is a table of people's numbers, `tokens` one row per masked token.
    """
    from dnalm.interpretation.reconstruction import choose_masked, score_masked

    annotated = Annotated(files, settings)
    encoder, vocabulary = annotated.open_encoder(), annotated.vocabulary
    device, parts = encoder.tokens.weight.device, []
    for how in settings["masks"]:
        random = np.random.default_rng([settings["seed"], *how.encode()])
        batches = progress(
            annotated.batches(device),
            f"reconstruct tokens ({how})",
            "windows",
            len(annotated.tokens),
            size=lambda pair: len(pair[1]),
        )
        for rows, tokens in batches:
            places = [
                choose_masked(ids, vocabulary, how, settings["share"], random)
                for ids in annotated.tokens[rows]
            ]
            found = score_masked(encoder, vocabulary, tokens, places)
            parts.append(
                pd.DataFrame(
                    {
                        "mask": how,
                        "window": found.rows + rows.start,
                        "token": found.places,
                        "loss": found.loss,
                        "predicted": found.predicted,
                        "truth": found.truth,
                    }
                )
            )
    table = pd.concat(parts, ignore_index=True)
    table = _add_baselines(table, annotated, settings)
    summary = annotated.name_rows(_summarise(table, annotated))
    names = {key: settings[key] for key in ("annotation", "model")}
    write_parquet(table, outputs["tokens"], names)
    with atomic_path(outputs["summary"]) as temporary:
        summary.to_csv(temporary, sep="\t", index=False)
    log.info("%s: %d masked tokens were predicted", outputs["summary"], len(table))


def _add_baselines(
    table: pd.DataFrame, annotated: Annotated, settings: Mapping[str, Any]
) -> pd.DataFrame:
    """Add what a Markov model of the bases to the left, and k-mer frequencies, give each token."""
    vocabulary, order = annotated.vocabulary, settings["markov_order"]
    contigs = _markov_contigs(annotated)
    sequences = [_read_some(annotated.genome, contig) for contig in contigs]
    markov = MarkovModel.train(sequences, order)
    frequencies = MarkovModel.train(sequences, vocabulary.k - 1)
    contexts = np.full(len(table), -1, dtype=np.int64)
    for window, own in table.groupby("window"):
        codes = read_codes(annotated.genome, tuple(annotated.windows.iloc[window]))
        bases = bases_per_token(annotated.tokens[window], vocabulary).astype(np.int64)
        starts = np.cumsum(bases) - bases
        contexts[own.index] = contexts_before(codes, starts[own["token"]], order)
    kmers = table["truth"].to_numpy() - vocabulary.kmer_offset
    known = contexts >= 0
    loss = np.full(len(table), np.nan)
    loss[known] = -markov.log_probability(contexts[known], kmers[known], vocabulary.k)
    best = np.full(len(table), -1, dtype=np.int64)
    best[known] = markov.predict(contexts[known], vocabulary.k)
    # k-mers alone: the joint probability of the chain of order k − 1 is that of its counts.
    counts = frequencies.counts.astype(np.float64) + 1.0
    alone = -np.log(counts / counts.sum())
    offset = vocabulary.kmer_offset
    return table.assign(
        markov_loss=loss,
        markov_predicted=np.where(known, best + offset, -1),
        frequency_loss=alone[kmers],
        frequency_predicted=int(counts.argmax()) + offset,
    )


def _markov_contigs(annotated: Annotated) -> list[str]:
    """Return the contigs that no window lies on or, where there is none, all of them."""
    every = list(dict.fromkeys(annotated.genome.contigs["contig"]))
    used = set(annotated.windows["contig"])
    others = [contig for contig in every if contig not in used]
    if not others:
        log.warning(
            "every contig of the genome has windows: the Markov model and the k-mer frequencies "
            "were counted on the same bases that they are scored on, and are too good."
        )
    return others or every


def _read_some(genome: GenomeBases, contig: str) -> NDArray[np.uint8]:
    row = genome.contigs[genome.contigs["contig"] == contig].iloc[0]
    return genome.read_at(int(row["offset"]), min(int(row["length"]), MARKOV_BASES))


def _summarise(table: pd.DataFrame, annotated: Annotated) -> pd.DataFrame:
    from dnalm.interpretation.reconstruction import equal_bases, summarise

    vocabulary = annotated.vocabulary
    masks = annotated.masks()
    rows = []
    for how, own in table.groupby("mask", sort=False):
        within = {EVERYTHING: np.ones(len(own), dtype=bool)}
        for name in masks[0]:
            pairs = zip(own["window"], own["token"], strict=True)
            within[name] = np.array([masks[window][name][token - 1] for window, token in pairs])
        for name, inside in within.items():
            part = own[inside]
            row: dict[str, Any] = {"element": name, "mask": how}
            for by, prefix in (("model", ""), ("markov", "markov_"), ("frequencies", "frequency_")):
                scored = part[part[f"{prefix}loss"].notna()]
                predicted = scored[f"{prefix}predicted"].to_numpy()
                truth = scored["truth"].to_numpy()
                summary = summarise(
                    scored["window"].to_numpy(),
                    scored[f"{prefix}loss"].to_numpy(),
                    predicted == truth,
                    equal_bases(predicted, truth, vocabulary),
                )
                if by == "model":
                    row |= vars(summary)
                else:
                    row[f"{by}_accuracy"] = summary.accuracy
                    row[f"{by}_base_accuracy"] = summary.base_accuracy
                    row[f"{by}_perplexity"] = summary.perplexity
            rows.append(row)
    return pd.DataFrame(rows)
