"""The contigs of a genome that a recipe uses."""

from collections.abc import Mapping, Sequence
from typing import Any

from dnalm.errors import InputError
from dnalm.suggestions import listing, nearest_first


def list_contigs(build: Mapping[str, Any], name: str, known: Sequence[str]) -> list[str]:
    """Return the contigs to use, in the genome's order."""
    wanted = known if build["contigs"] is None else build["contigs"]
    for key, contigs in (("contigs", wanted), ("test_contigs", build["test_contigs"])):
        if unknown := [contig for contig in contigs if contig not in known]:
            held = listing(nearest_first(unknown[0], known))
            raise InputError(
                f"Task {name} asks for {unknown[0]!r} in build.{key}, which genome "
                f"{build['genome']} does not hold; it holds {held}."
            )
    if unused := [contig for contig in build["test_contigs"] if contig not in wanted]:
        raise InputError(
            f"Task {name} has the test contig {unused[0]!r}, which is not among its "
            "build.contigs: add it there or drop it."
        )
    return [contig for contig in known if contig in wanted]
