"""Perplexity of masked SNPs on personal haplotypes, by frequency, allele and population.

The token that holds the SNP is masked alone, in the middle of a window of the haplotype of a person
who carries the allele: with all else that is on this haplotype, insertions and deletions as well.

Shape letters: B batch, T tokens, V vocabulary, k bases of a token.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.benchmark.parquet import write_parquet
from dnalm.devices import best_device
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_tsv
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.centred import read_around
from dnalm.genome.kmers import ALPHABET, N, Vocabulary, encode
from dnalm.interpretation.annotated import BATCH_TOKENS
from dnalm.interpretation.likelihoods.embedded_snps import EmbeddedSnps
from dnalm.interpretation.likelihoods.marginals import base_log_probabilities
from dnalm.interpretation.likelihoods.snp_sites import ALT, REF, Contig, open_contigs
from dnalm.interpretation.reconstruction import summarise
from dnalm.jobs.progress import progress
from dnalm.model.encoder import Encoder
from dnalm.model.loading import load_model, read_run

# Scores the token that covers a base, at one place in each window; names of windows are for errors.
Predict = Callable[[Sequence[NDArray[np.uint8]], int, Sequence[str]], pd.DataFrame]

log = logging.getLogger(__name__)


def score_snps(
    files: Mapping[str, Any], settings: Mapping[str, Any], outputs: Mapping[str, str | Path]
) -> None:
    """Write the perplexity of SNPs by frequency, allele and group; `tokens` has a row for each.

    `files` are the table of `choose_snps`, the stores, bases and contigs of its panel, run and
    weights of a model, and maybe the samples of the panel that this was trained on. `settings` have
    the entry `embedder` of a model that is not ours. Raises InputError for windows that are longer
    than the model reads.
    """
    genome = GenomeBases(files["bases"], files["contigs"])
    contigs = open_contigs(files["stores"], genome)
    snps = pd.read_parquet(files["chosen"])
    bases = settings["bases"]
    if "embedder" in settings:
        # A token may be of a base.
        predict, tokens = EmbeddedSnps(settings["embedder"]).predict, bases
    else:
        predict, tokens = _open_encoder(files, settings)
    size = BATCH_TOKENS // tokens if best_device().type == "cuda" else 1
    parts = []
    windows = _read_windows(snps, contigs, bases)
    for rows, codes in progress(
        _in_batches(windows, max(1, size)),
        "mask SNPs",
        "windows",
        len(snps),
        size=lambda one: len(one[0]),
    ):
        places = [f"{own.contig}:{own.position + 1}" for own in snps.iloc[rows].itertuples()]
        found = predict(codes, bases // 2, places)
        if len(found):
            parts.append(found.assign(row=np.array(rows)[found.index]))
    scored = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"row": []})
    if len(scored) < len(snps):
        log.warning(
            "%d of %d windows hold an N, reach over the end of the contig, or have a token there"
            " that is none of its bases, and are left out",
            *(len(snps) - len(scored), len(snps)),
        )
    if scored.empty:
        raise InputError(f"snps.{settings['snps']}: no window could be read; choose other contigs.")
    table = snps.iloc[scored["row"]].reset_index(drop=True).join(scored.drop(columns="row"))
    summary = summarise_snps(table, snps, settings["carriers"])
    people = list(dict.fromkeys(table["sample"]))
    summary["people"] = len(people)
    summary["people_trained_on"] = count_trained_on(people, files.get("trained"), settings)
    names = {key: settings[key] for key in ("snps", "model")}
    summary = summary.assign(**names)[[*names, *summary.columns]]
    write_parquet(table, outputs["tokens"], names)
    with atomic_path(outputs["summary"]) as temporary:
        summary.to_csv(temporary, sep="\t", index=False)
    log.info("%s: %d masked SNPs were predicted", outputs["summary"], len(table))


def _open_encoder(files: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Predict, int]:
    """Return what scores the k-mer of one base of windows, and the tokens of a window.

    Raises InputError for windows that are longer than the model reads.
    """
    config, vocabulary = read_run(files["run"])
    bases, k = settings["bases"], vocabulary.k
    if 1 + bases // k + bases % k > config.max_tokens:
        raise InputError(
            f"snps.{settings['snps']}: windows of {bases:,} bases are too long for the model "
            f"{settings['model']}, which reads {config.max_tokens:,} tokens; lower `bases`."
        )
    encoder, _ = load_model(files["run"], files["weights"])
    encoder = encoder.to(best_device()).eval()
    device = encoder.tokens.weight.device

    def predict(
        windows: Sequence[NDArray[np.uint8]], left: int, places: Sequence[str]
    ) -> pd.DataFrame:
        tokens = torch.from_numpy(np.stack([encode(one, vocabulary) for one in windows]))
        own = torch.from_numpy(np.stack([one[left] for one in windows]).astype(np.int64))
        return pd.DataFrame(
            score_token(
                *(encoder, vocabulary, tokens.long().to(device)),
                *(1 + left // k, own.to(device), left % k),
            )
        )

    return predict, 1 + bases // k


def _read_windows(
    snps: pd.DataFrame, contigs: Mapping[str, Contig], bases: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of a row and the bases around its SNP, where these are whole."""
    numbers = {
        name: {sample: number for number, sample in enumerate(contig.store.samples)}
        for name, contig in contigs.items()
    }
    for row, snp in enumerate(snps.itertuples(index=False)):
        contig = contigs[snp.contig]
        haplotype = 2 * numbers[snp.contig][snp.sample] + int(snp.haplotype) - 1
        codes = read_around(
            *(contig.store, contig.codes, contig.first, haplotype),
            *(int(snp.position), bases // 2, bases),
        )
        if codes is not None and not (codes == N).any():
            if ALPHABET[codes[bases // 2]] != (snp.ref if snp.allele == REF else snp.alt):
                raise ValueError(f"{snp.contig}:{snp.position + 1} is not the allele of {snp}")
            yield row, codes


def _in_batches(
    windows: Iterator[tuple[int, NDArray[np.uint8]]], size: int
) -> Iterator[tuple[list[int], list[NDArray[np.uint8]]]]:
    rows: list[int] = []
    codes: list[NDArray[np.uint8]] = []
    for row, own in windows:
        rows.append(row)
        codes.append(own)
        if len(rows) == size:
            yield rows, codes
            rows, codes = [], []
    if rows:
        yield rows, codes


@torch.inference_mode()
def score_token(
    encoder: Encoder,
    vocabulary: Vocabulary,
    tokens: Tensor,
    place: int,
    base: Tensor,
    within: int,
) -> dict[str, NDArray]:
    """Return what a model gives of the k-mer at `place` of int64[B, T], masked alone.

    `loss` is −ln p of the true token among all of the vocabulary, `predicted` the most probable one
    and `truth` the true one. `base_loss` is −ln p of the base code `base` int64[B] at `within` the
    k-mer: p is the sum over all k-mers that have it there, among all k-mers.
    """
    selected = torch.full((len(tokens), 1), place, device=tokens.device)
    masked = tokens.scatter(1, selected, vocabulary.mask)
    likelihood = encoder(masked, selected).logits[:, 0].float().log_softmax(-1)  # [B, V]
    truth = tokens[:, place]
    bases = base_log_probabilities(likelihood, vocabulary, within)
    return {
        "loss": -likelihood.gather(1, truth[:, None])[:, 0].cpu().numpy(),
        "predicted": likelihood.argmax(-1).cpu().numpy(),
        "truth": truth.cpu().numpy(),
        "base_loss": -bases.gather(1, base[:, None])[:, 0].cpu().numpy(),
        "base_right": (bases.argmax(-1) == base).cpu().numpy(),
    }


def summarise_snps(table: pd.DataFrame, chosen: pd.DataFrame, carriers: int) -> pd.DataFrame:
    """Return a row per frequency, group and allele, of the rows of `chosen` that were scored.

    `carriers` is how many haplotypes were asked for of each SNP: `carriers_missing` says how many
    there were not. The median is over SNPs, of the mean loss of each; all else is pooled over
    haplotypes.
    """
    place = ["contig", "position"]
    rows = []
    for bin_, of_bin in chosen.groupby("bin"):
        asked = len(of_bin.drop_duplicates(place)) * carriers
        for group, allele in product(dict.fromkeys(chosen["group"]), (REF, ALT)):
            there = (of_bin["group"] == group) & (of_bin["allele"] == allele)
            names = {"bin": bin_, "group": group, "allele": allele}
            own = table[(table[list(names)] == pd.Series(names)).all(axis=1)]
            summary = summarise(
                own.groupby(place, sort=False).ngroup().to_numpy(),
                own["loss"].to_numpy(),
                (own["predicted"] == own["truth"]).to_numpy(),
                own["base_right"].to_numpy(),
                np.ones(len(own), dtype=np.int64),
            )
            rows.append(
                {
                    **names,
                    "snps_scored": summary.windows,
                    "haplotypes": summary.tokens,
                    "carriers_missing": asked - int(there.sum()),
                    "accuracy": summary.accuracy,
                    "base_accuracy": summary.base_accuracy,
                    "perplexity": summary.perplexity,
                    "base_perplexity": float(np.exp(own["base_loss"].mean())),
                    "median_perplexity": summary.median_perplexity,
                }
            )
            if missing := asked - int(there.sum()):
                log.warning(
                    "frequency %g, %s, %s: %d of %d haplotypes that were asked for are not there",
                    *(bin_, group, allele, missing, asked),
                )
    return pd.DataFrame(rows)


def count_trained_on(
    people: Sequence[str], trained: str | Path | None, settings: Mapping[str, Any]
) -> int | None:
    """Return how many of some people the model was trained on, None where it is not known.

    `trained` is samples.tsv of the panel of the model's corpus. By names: people whom the two
    panels call differently are not found.
    """
    if not settings["corpus_known"]:
        log.warning(
            "%s has no corpus here: whether these people were among its training data is not known",
            settings["model"],
        )
        return None
    if not trained:
        return 0
    table = read_tsv(trained, ["sample"], dtype=str, keep_default_na=False)
    found = len(set(people) & set(table["sample"]))
    if found:
        log.warning(
            "%s was trained on %d of these %d people: its perplexity is of what it has seen",
            *(settings["model"], found, len(people)),
        )
    return found
