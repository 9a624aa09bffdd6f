"""K-mer spectrum of a corpus: entropy, GC content, observed over expected CpG."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

STEPS_PER_DECADE = 10


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Facts of one table of k-mer counts; shares are of `total`, NaN where nothing was counted.

    entropy: of the k-mer frequencies, in nats; most: ln 4^k, what equal frequencies would have.
    gc: share of G and C. cpg: share of k-mers that contain CG; cpg_ratio: how often CG occurs
    for once that the frequencies of C and G would let it, NaN for single bases.
    """

    k: int
    total: int
    possible: int
    distinct: int
    entropy: float
    most: float
    gc: float
    cpg: float
    cpg_ratio: float

    @property
    def mean(self) -> float:
        """How often each k-mer would occur if all were equally frequent."""
        return self.total / self.possible


def spectrum_of(kmers: pd.DataFrame) -> Spectrum:
    """Return the facts of one corpus's k-mers: a table with kmer, count and all 4^k rows."""
    words, counts = kmers["kmer"], kmers["count"].to_numpy(np.float64)
    k, total = len(words.iloc[0]), counts.sum()
    shares = counts / total if total else np.full_like(counts, np.nan)
    letters = {base: float(words.str.count(base) @ shares) / k for base in "GC"}
    seen = shares[counts > 0]
    cpg, ratio = math.nan, math.nan
    if k > 1:
        cpg = float(shares @ has_cpg(words))
        pairs = float(words.str.count("CG") @ shares) / (k - 1)
        by_chance = letters["C"] * letters["G"]
        ratio = pairs / by_chance if by_chance else math.nan
    return Spectrum(
        k=k,
        total=int(total),
        possible=len(words),
        distinct=len(seen),
        entropy=float(-(seen * np.log(seen)).sum()) if total else math.nan,
        most=k * math.log(4),
        gc=letters["G"] + letters["C"],
        cpg=cpg,
        cpg_ratio=ratio,
    )


def has_cpg(words: pd.Series) -> pd.Series:
    """Return which k-mers contain CG."""
    return words.str.contains("CG", regex=False)


def histogram_of(kmers: pd.DataFrame) -> pd.DataFrame:
    """Return how many k-mers occur how often: steps of counts, those without CG below the others.

    Columns cpg (bool), low and high (counts, equal steps of their logarithm), kmers (how many),
    bottom and top (where their part of the bar lies). k-mers that never occur are in no step.
    """
    seen = kmers[kmers["count"] > 0]
    logs = np.log10(seen["count"].to_numpy(np.float64))
    # Half a step below the smallest possible count, so that 1 lies in the middle of its step.
    steps = np.floor(logs * STEPS_PER_DECADE + 0.5).astype(np.int64)
    table = pd.DataFrame({"cpg": has_cpg(seen["kmer"]).to_numpy(), "step": steps})
    sizes = table.groupby(["step", "cpg"]).size().rename("kmers").reset_index()
    sizes["low"] = 10 ** ((sizes["step"] - 0.5) / STEPS_PER_DECADE)
    sizes["high"] = 10 ** ((sizes["step"] + 0.5) / STEPS_PER_DECADE)
    sizes["top"] = sizes.groupby("step")["kmers"].cumsum()
    sizes["bottom"] = sizes["top"] - sizes["kmers"]
    return sizes[["cpg", "low", "high", "kmers", "bottom", "top"]]


def most_frequent(kmers: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return the most frequent k-mers with kmer, count, share, and times: of the mean count."""
    total = max(kmers["count"].sum(), 1)
    first = kmers.sort_values("count", ascending=False, kind="stable").head(number)
    share = first["count"] / total
    return first[["kmer", "count"]].assign(share=share, times=share * len(kmers))
