"""Names of contigs and samples, as text, from the bytes of FASTA and VCF files."""

from contextlib import suppress


def decode(name: bytes) -> str:
    """Return a name as text: UTF-8, as formats ask, or else Latin-1, as old files have it."""
    with suppress(UnicodeDecodeError):
        return name.decode("utf-8")
    return name.decode("latin-1")
