"""Consequence classes of variants: which one of several counts, and how severe it is.

Terms are those of the Sequence Ontology as VEP and ClinVar write them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.errors import InputError

SEPARATORS = re.compile(r"[,&|]")
NO_RANK = -1


@dataclass(frozen=True, kw_only=True)
class ConsequenceConfig:
    """Where consequences stand and how they are read.

    `info` is a field of VCF files, `column` one of tables: of positives in a table and common
    variants in a VCF file both are needed. Each match of `pattern`, its first
    group, is a term, or each of what commas, & and | part where there is no pattern. `rename` maps
    terms to others. `severity` lists terms, the least severe first; of several terms the most
    severe counts, or none where `single` asks for one only.
    """

    info: str | None
    column: str | None
    pattern: str | None
    rename: Mapping[str, str]
    single: bool
    severity: Sequence[str]


def read_consequences(texts: pd.Series, config: ConsequenceConfig) -> pd.Series:
    """Return the consequence class of each variant, the empty string where there is none.

    Terms that `severity` does not list come after those that it does, in the order of the text.
    Raises InputError for a pattern that is no regular expression.
    """
    try:
        pattern = re.compile(config.pattern) if config.pattern else None
    except re.error as error:
        raise InputError(
            f"consequence.pattern: '{config.pattern}' is no regular expression ({error})."
        ) from None
    ranks = {term: rank for rank, term in enumerate(config.severity)}
    # A genome has millions of variants and a few hundred different texts.
    chosen = {text: _choose(text, pattern, ranks, config) for text in texts.unique()}
    return texts.map(chosen)


def _choose(
    text: str, pattern: re.Pattern | None, ranks: Mapping[str, int], config: ConsequenceConfig
) -> str:
    if not isinstance(text, str) or not text:
        return ""
    if pattern:
        found = [match[1] if pattern.groups else match[0] for match in pattern.finditer(text)]
    else:
        found = [part for part in SEPARATORS.split(text) if part]
    terms = list(dict.fromkeys(config.rename.get(term, term) for term in found))
    if not terms or (config.single and len(terms) > 1):
        return ""
    return max(terms, key=lambda term: ranks.get(term, NO_RANK))


def rank_severity(classes: pd.Series, severity: Sequence[str]) -> np.ndarray:
    """Return the rank of each class in `severity`, float64, nan for one that it does not list."""
    ranks = {term: float(rank) for rank, term in enumerate(severity)}
    return classes.map(lambda term: ranks.get(term, np.nan)).to_numpy(dtype=np.float64)
