"""Selection and renaming of the FASTA records that make up a genome."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dnalm.errors import InputError
from dnalm.genome.fasta import PIECE_NAME, Contig, read_fasta
from dnalm.suggestions import closest


def select_contigs(
    source: str | Path, genome: str, keep: Mapping[str, str] | Sequence[str] | None
) -> Iterator[tuple[Contig, str]]:
    """Yield the contigs of a FASTA file to keep, each with its name in the genome.

    `keep` names records (their first word or, for a piece, the contig's name), as a list or as a
    mapping to new names; None keeps all. As with `read_fasta`, the blocks of a contig have to be
    read before the next one is taken.

    Raises InputError for a selection of nothing, a new name that is blank, holds a blank or is
    given to two contigs, a record to keep that is not there, and whatever `read_fasta` refuses.
    """
    given = keep if isinstance(keep, Mapping) else dict.fromkeys(keep or ())
    names = {str(record): new for record, new in given.items()}  # YAML reads the record 1 as number
    if keep is not None:
        _check_names(genome, names)
    found, seen = set(), []
    for contig in read_fasta(source):
        seen.append(contig.record)
        key = contig.record if contig.record in names else contig.name
        if key in names or keep is None:
            found.add(key)
            yield contig, names.get(key) or contig.name
    missing = [record for record in names if record not in found]
    if missing:
        near = closest(missing[0], seen, 3)
        raise InputError(
            f"{source}: there is no record {', '.join(missing)} to keep; its records are called "
            f"{', '.join(near)} and the like, correct the genome's `contigs`."
        )


def _check_names(genome: str, names: Mapping[str, str | None]) -> None:
    key = f"genomes.{genome}.contigs"
    if not names:
        raise InputError(f"{key} is empty; name the records to keep or write null to keep all.")
    origins: dict[str, tuple[str, str]] = {}
    for record, new in names.items():
        if new is not None and not re.fullmatch(r"\S+", new):
            raise InputError(
                f"{key}: the new name {new!r} of {record} is empty or has a blank; write one word."
            )
        # Pieces of one contig may go to one name.
        piece = PIECE_NAME.fullmatch(record)
        contig = piece[1] if piece else record
        first, origin = origins.setdefault(new or contig, (record, contig))
        if contig != origin:
            raise InputError(
                f"{key}: {first} and {record} are both to be called {new or contig}; "
                "give each a name of its own."
            )
