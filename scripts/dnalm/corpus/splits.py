"""Which part of a corpus is for training, for validation and for testing."""

from collections.abc import Mapping, Sequence
from typing import Any

from dnalm.errors import InputError
from dnalm.suggestions import nearest

SPLITS = ("train", "validation", "test")


def assign_splits(
    corpus: str, split: Mapping[str, Any], contigs: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], str]:
    """Return the split of every (genome, contig).

    `split` is {by: contig | genome, validation, test}. By contig, the entries are `contig` (in
    whatever genome) or `genome:contig`; by genome, names or a number: the last `test` genomes
    test, the last `validation` ones of the others validate. `contigs` holds the contig names of
    each genome, in the order of the corpus.

    Raises InputError for an entry that names nothing or stands in both lists, and for a split
    that is left without contigs.
    """
    chosen = _genomes(corpus, split, contigs) if split["by"] == "genome" else None
    if chosen is None:
        chosen = _contigs(corpus, split, contigs)
    twice = sorted(set(chosen["validation"]) & set(chosen["test"]))
    if twice:
        raise InputError(
            f"corpora.{corpus}.split: {':'.join(twice[0])} is in validation and in test; "
            "remove it from one of them."
        )
    splits = {(genome, contig): "train" for genome in contigs for contig in contigs[genome]}
    for name in ("validation", "test"):
        splits.update(dict.fromkeys(chosen[name], name))
    _refuse_empty(corpus, split["by"], set(splits.values()), contigs)
    return splits


def _refuse_empty(
    corpus: str, by: str, filled: set[str], contigs: Mapping[str, Sequence[str]]
) -> None:
    if "train" not in filled:
        total = len(contigs) if by == "genome" else sum(map(len, contigs.values()))
        raise InputError(
            f"corpora.{corpus}.split holds out every {by} ({total}) for validation and test, so "
            f"nothing is left for training; hold out fewer or add a {by}."
        )
    for name in ("validation", "test"):
        if name not in filled:
            raise InputError(
                f"corpora.{corpus}.split.{name} names no {by}, so nothing is held out for {name}; "
                "name at least one."
            )


def _contigs(
    corpus: str, split: Mapping[str, Any], contigs: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, str]]]:
    chosen: dict[str, list[tuple[str, str]]] = {}
    for name in ("validation", "test"):
        chosen[name] = []
        for entry in split[name]:
            # A contig's own name may hold a colon, so names are compared whole.
            matches = [
                (genome, contig)
                for genome in contigs
                for contig in contigs[genome]
                if entry in (contig, f"{genome}:{contig}")
            ]
            if not matches:
                known = [contig for genome in contigs for contig in contigs[genome]]
                raise InputError(_unknown(corpus, name, entry, "contig", known))
            chosen[name] += matches
    return chosen


def _genomes(
    corpus: str, split: Mapping[str, Any], contigs: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, str]]]:
    chosen: dict[str, list[str]] = {}
    left = list(contigs)
    for name in ("test", "validation"):
        wanted = split[name]
        if isinstance(wanted, int):
            chosen[name] = left[max(0, len(left) - wanted) :]
        else:
            for entry in wanted:
                if entry not in contigs:
                    raise InputError(_unknown(corpus, name, entry, "genome", list(contigs)))
            chosen[name] = list(wanted)
        left = [genome for genome in left if genome not in chosen[name]]
    return {
        name: [(genome, contig) for genome in genomes for contig in contigs[genome]]
        for name, genomes in chosen.items()
    }


def _unknown(corpus: str, name: str, entry: str, kind: str, known: list[str]) -> str:
    return f"corpora.{corpus}.split.{name}: there is no {kind} {entry}{nearest(entry, known)}"
