"""VCF files with scores: the file that was read, its lines kept, with fields of INFO added.

Source: VCF 4.5 specification, sections 1.2 and 1.6.1.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pysam

from dnalm.files import atomic_path
from dnalm.variants.records import MAIN_COLUMNS
from dnalm.variants.score_table import BY_NAME, REASONS

SKIP_FIELD = "DNALM_SKIP"
USE = "research use, not for diagnosis"
MISSING = "."
DIGITS = 9  # of a score; readers keep 32 bits of it
INFO_ID = re.compile(rb"##INFO=<ID=([^,>]+)")
OUR_ID = re.compile(rb"##dnalm=<ID=([^,>]+)")

log = logging.getLogger(__name__)


def name_field(model: str, score: str) -> str:
    """Return the name of a score in INFO, of letters, digits and _ alone."""
    return f"DNALM_{re.sub('[^0-9A-Za-z_]', '_', model)}_{score}".upper()


def make_header(
    header: Sequence[bytes],
    model: str,
    scores: Sequence[str],
    facts: Mapping[str, Any],
    *,
    sites_only: bool,
) -> list[bytes]:
    """Return the lines of a header with ours before the last one, in place of older ones of ours.

    `facts` are said in one line, ##dnalm.
    """
    fields = {name_field(model, name): BY_NAME[name].words for name in scores}
    own = [_describe(model, facts)]
    own += [_field(name, "Float", f"{words}; {USE}") for name, words in fields.items()]
    reasons = ", ".join(REASONS)
    own.append(_field(SKIP_FIELD, "String", f"Why an allele has no scores, or not all: {reasons}"))
    names = {name.encode() for name in (*fields, SKIP_FIELD)}
    kept = [line for line in header[:-1] if not _is_ours(line, model.encode(), names)]
    columns = header[-1]
    if sites_only:
        columns = b"\t".join(columns.split(b"\t")[:MAIN_COLUMNS])
    return [*kept, *(line.encode() for line in own), columns]


def _is_ours(line: bytes, model: bytes, names: set[bytes]) -> bool:
    field, ours = INFO_ID.match(line), OUR_ID.match(line)
    return (field is not None and field[1] in names) or (ours is not None and ours[1] == model)


def _describe(model: str, facts: Mapping[str, Any]) -> str:
    values = "".join(f',{key}="{_quote(value)}"' for key, value in facts.items() if key != "model")
    return f'##dnalm=<ID={model}{values},Description="Zero-shot scores of variants; {USE}">'


def _field(name: str, kind: str, words: str) -> str:
    return f'##INFO=<ID={name},Number=A,Type={kind},Description="{_quote(words)}">'


def _quote(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def add_fields(
    line: bytes,
    fields: Sequence[bytes],
    values: Sequence[Sequence[float | None]],
    reasons: Sequence[str | None],
    *,
    sites_only: bool,
) -> bytes:
    """Return a record line with scores in INFO: `values` [alleles][fields], None is missing.

    Nothing else of it changes, but for older values of the same fields. One without alleles stays
    as it is.
    """
    cells = line.split(b"\t", MAIN_COLUMNS)
    info, ours = cells[MAIN_COLUMNS - 1], {*fields, SKIP_FIELD.encode()}
    old = [] if info in (b"", b".") else info.split(b";")
    entries = [entry for entry in old if entry.partition(b"=")[0] not in ours]
    if values:
        for number, field in enumerate(fields):
            texts = (_format(own[number]) for own in values)
            entries.append(field + b"=" + ",".join(texts).encode())
        if any(reasons):
            texts = (reason or MISSING for reason in reasons)
            entries.append(SKIP_FIELD.encode() + b"=" + ",".join(texts).encode())
    cells[MAIN_COLUMNS - 1] = b";".join(entries) or b"."
    return b"\t".join(cells[:MAIN_COLUMNS] if sites_only else cells)


def _format(value: float | None) -> str:
    return MISSING if value is None else f"{value:.{DIGITS}g}"


class Write(Protocol):
    """Adds a line to the file."""

    def __call__(self, line: bytes) -> None: ...


@contextmanager
def open_output(path: str | Path) -> Iterator[Write]:
    """Yield what adds lines to a bgzip-compressed VCF file, which is there when all are written."""
    with atomic_path(path) as temporary, pysam.BGZFile(str(temporary), "wb") as file:

        def write(line: bytes) -> None:
            file.write(line + b"\n")

        yield write


def index_output(path: str | Path, index: str | Path) -> None:
    """Write the index of a bgzip-compressed VCF file: CSI where its name says so, else tabix."""
    csi = Path(index).suffix == ".csi"
    with atomic_path(index) as temporary:
        pysam.tabix_index(str(path), preset="vcf", csi=csi, force=True, index=str(temporary))
    log.info("%s is indexed", path)
