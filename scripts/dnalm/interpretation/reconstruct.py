"""Reconstruction of the windows of an annotation, from files to files, beside two baselines."""

import logging
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.parquet import write_parquet
from dnalm.files import atomic_path
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import N, Vocabulary, bases_per_token
from dnalm.interpretation.annotated import Annotated, AnnotatedWindows
from dnalm.interpretation.elements import mask_bases
from dnalm.interpretation.embedded_elements import mask_covered
from dnalm.interpretation.markov import MarkovModel, contexts_before
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress

EVERYTHING = "all"  # in the place of an element: all tokens that were masked
FREQUENCY = ("frequency_loss", "frequency_base_accuracy")
OF_BASELINES = ("accuracy", "base_accuracy", "perplexity", "base_loss")
MARKOV_BASES = 20_000_000  # of a contig, which suffice for the counts of 6-mers

log = logging.getLogger(__name__)


def reconstruct_windows(
    files: Mapping[str, str], settings: Mapping[str, Any], outputs: Mapping[str, str | Path]
) -> None:
    """Write accuracy and loss of masked tokens by element, beside those of baselines.

    `summary` is a table of people's numbers, `tokens` one row per masked token. `settings` have the
    entry `embedder` of a model that is not ours.
    """
    if "embedder" in settings:
        from dnalm.interpretation.embedded_reconstruction import predict_tokens

        annotated, vocabulary = AnnotatedWindows(files, settings), None
        table = predict_tokens(annotated, settings)
    else:
        annotated = Annotated(files, settings)
        vocabulary = annotated.vocabulary
        table = _predict_kmers(annotated, settings)
    table = _add_baselines(table, annotated, vocabulary, settings["markov_order"])
    summary = annotated.name_rows(_summarise(table, annotated))
    names = {key: settings[key] for key in ("annotation", "model")}
    write_parquet(table, outputs["tokens"], names)
    with atomic_path(outputs["summary"]) as temporary:
        summary.to_csv(temporary, sep="\t", index=False)
    log.info("%s: %d masked tokens were predicted", outputs["summary"], len(table))


def _predict_kmers(annotated: Annotated, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row per masked k-mer of a model of ours, see `predict_tokens`."""
    from dnalm.interpretation.reconstruction import choose_masked, equal_bases, score_masked

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
            ends = np.stack(
                [np.cumsum(bases_per_token(ids, vocabulary)) for ids in annotated.tokens[rows]]
            )[found.rows, found.places].astype(np.int64)
            parts.append(
                pd.DataFrame(
                    {
                        "mask": how,
                        "window": found.rows + rows.start,
                        "token": found.places,
                        "start": ends - vocabulary.k,
                        "end": ends,
                        "predicted": found.predicted,
                        "truth": found.truth,
                        "loss": found.loss,
                        "base_accuracy": equal_bases(found.predicted, found.truth, vocabulary),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _add_baselines(
    table: pd.DataFrame,
    annotated: AnnotatedWindows,
    vocabulary: Vocabulary | None,
    order: int,
) -> pd.DataFrame:
    """Add what a Markov model of the bases to the left, and k-mer frequencies, give each token.

    NaN where fewer bases than `order` or an N lie before it, and of frequencies where the tokens
    are not k-mers (no `vocabulary`).
    """
    sequences = [_read_some(annotated.genome, contig) for contig in _markov_contigs(annotated)]
    markov = MarkovModel.train(sequences, order)
    contexts = np.full(len(table), -1, dtype=np.int64)
    lengths = (table["end"] - table["start"]).to_numpy()
    words = np.full((len(table), lengths.max()), N, dtype=np.uint8)
    for window, rows in table.groupby("window").indices.items():
        codes = read_codes(annotated.genome, tuple(annotated.windows.iloc[window]))
        starts = table["start"].to_numpy()[rows]
        contexts[rows] = contexts_before(codes, starts, order)
        for row, start in zip(rows, starts, strict=True):
            words[row, : lengths[row]] = codes[start : start + lengths[row]]
    loss, share = (np.full(len(table), np.nan) for _ in range(2))
    for length in np.unique(lengths):
        rows = np.flatnonzero((lengths == length) & (contexts >= 0))
        own = words[rows, :length]
        loss[rows] = -markov.log_probability(contexts[rows], own)
        share[rows] = (markov.predict(contexts[rows], length) == own).mean(1)
    table["base_loss"] = table["loss"] / lengths
    table["markov_loss"], table["markov_base_accuracy"] = loss, share
    for name in FREQUENCY:
        table[name] = np.nan
    if vocabulary:
        from dnalm.interpretation.reconstruction import equal_bases

        frequencies = MarkovModel.train(sequences, vocabulary.k - 1)
        # k-mers alone: the joint probability of the chain of order k − 1 is that of its counts.
        counts = frequencies.counts.astype(np.float64) + 1.0
        truth = table["truth"].to_numpy()
        best = np.full(len(table), int(counts.argmax()) + vocabulary.kmer_offset)
        table[FREQUENCY[0]] = -np.log(counts / counts.sum())[truth - vocabulary.kmer_offset]
        table[FREQUENCY[1]] = equal_bases(best, truth, vocabulary)
    return table


def _markov_contigs(annotated: AnnotatedWindows) -> list[str]:
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


def _summarise(table: pd.DataFrame, annotated: AnnotatedWindows) -> pd.DataFrame:
    """Return a row per element and mask: the model's numbers, and those of the baselines."""
    from dnalm.interpretation.reconstruction import summarise

    within, rows = _find_elements(table, annotated), []
    hits = (table["predicted"] == table["truth"]).to_numpy()
    for how, name in product(dict.fromkeys(table["mask"]), within):
        inside = within[name] & (table["mask"] == how).to_numpy()
        row: dict[str, Any] = {"element": name, "mask": how}
        for by, prefix in (("model", ""), ("markov", "markov_"), ("frequencies", "frequency_")):
            scored = inside & table[f"{prefix}loss"].notna().to_numpy()
            part, shares = table[scored], table[f"{prefix}base_accuracy"].to_numpy()[scored]
            summary = summarise(
                part["window"].to_numpy(),
                part[f"{prefix}loss"].to_numpy(),
                shares == 1 if prefix else hits[scored],
                shares,
                (part["end"] - part["start"]).to_numpy(),
            )
            if by == "model":
                row |= vars(summary)
            else:
                row |= {f"{by}_{key}": getattr(summary, key) for key in OF_BASELINES}
        rows.append(row)
    return pd.DataFrame(rows)


def _find_elements(
    table: pd.DataFrame, annotated: AnnotatedWindows
) -> dict[str, NDArray[np.bool_]]:
    """Return for each element which tokens have at least half of their bases in it; all first."""
    within = {EVERYTHING: np.ones(len(table), dtype=bool)}
    spans, by_window = table[["start", "end"]].to_numpy(), table.groupby("window").indices
    for name, by_contig in annotated.elements().items():
        within[name] = np.zeros(len(table), dtype=bool)
        for window, rows in by_window.items():
            row = annotated.windows.iloc[window]
            if row["contig"] in by_contig:
                mask = mask_bases(by_contig[row["contig"]], int(row["start"]), int(row["end"]))
                within[name][rows] = mask_covered(mask, spans[rows])
    return within
