"""The ninth column of GTF and GFF3 lines: which transcript and which gene a line belongs to."""

import re
from urllib.parse import unquote

# GTF has a blank between a key and its value.
GFF3_KEY = re.compile(r'\s*[^\s=;"]+\s*=')
# In GTF, with quotes or without; other keys end alike, as orig_transcript_id and ref_gene_id.
TRANSCRIPT_ID, GENE_ID = (
    re.compile(rf'(?:^|[;\s]){key}\s+(?:"([^"]*)"|([^\s";][^;"]*))')
    for key in ("transcript_id", "gene_id")
)
QUOTES = ' "'  # in GFF3 they are no part of the format, but some programs write them


def is_gff3(attributes: str) -> bool:
    """Return whether attributes are written as in GFF3, key=value."""
    return GFF3_KEY.match(attributes) is not None


def transcript_ids(attributes: str) -> list[str]:
    """Return the transcript ids of a line's attributes, none that is empty.

    In GFF3 they are the Parents, and of a line without any its transcript_id: records of one gene
    in two places share it.
    """
    if not is_gff3(attributes):
        name = _gtf_value(TRANSCRIPT_ID, attributes)
    elif parents := parent_ids(attributes):
        return parents
    else:
        name = gff3_value(attributes, "transcript_id")
    return [name] if name else []


def gene_id(attributes: str) -> str:
    """Return the attribute gene_id of a line, "" where it has none."""
    if is_gff3(attributes):
        return gff3_value(attributes, "gene_id")
    return _gtf_value(GENE_ID, attributes)


def parent_ids(attributes: str) -> list[str]:
    """Return the Parents of a GFF3 line, none that is empty; a comma within one is an escape."""
    names = (unquote(name).strip(QUOTES) for name in _raw_value(attributes, "Parent").split(","))
    return [name for name in names if name]


def gff3_value(attributes: str, key: str) -> str:
    """Return the value of a key of a GFF3 line, its escapes decoded, "" where it has none."""
    return unquote(_raw_value(attributes, key)).strip(QUOTES)


def _raw_value(attributes: str, key: str) -> str:
    if key in attributes:
        for pair in attributes.split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == key:
                return value
    return ""


def _gtf_value(pattern: re.Pattern[str], attributes: str) -> str:
    """Return the value that a pattern finds outside of quotes, "" for none."""
    for found in pattern.finditer(attributes):
        if not attributes.count('"', 0, found.start()) % 2:
            return (found[1] or found[2] or "").strip()
    return ""
