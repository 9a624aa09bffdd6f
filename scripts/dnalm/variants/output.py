"""The files of scores, written from finished parts: VCF with its index, Parquet, features.

Shapes: R rows of a part, D width.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.files import atomic_path
from dnalm.jobs.partial import Partial
from dnalm.jobs.progress import Progress
from dnalm.model.tensors import stream_arrays
from dnalm.variants.records import open_variants, read_lines
from dnalm.variants.scan import SKIP, Scan, name_part
from dnalm.variants.score_table import OTHER_TOKENS
from dnalm.variants.scoring import Scoring
from dnalm.variants.tables import KEY, make_schema, make_table
from dnalm.variants.vcf_output import add_fields, make_header, name_field, open_output

SCORES, FEATURES = "scores", ("reference", "alternative")  # of a part


def write_scores(
    scoring: Scoring,
    found: Scan,
    parts: tuple[Partial, Partial],
    outputs: Mapping[str, str],
    described: Mapping[str, Any],
    *,
    sites_only: bool,
) -> None:
    """Write all files from the parts, of alleles and of scores, with one of them in memory.

    `outputs` are vcf, table and maybe features, `described` what they say of themselves.
    """
    records, kept = parts
    scores, model = scoring.plan.scores, described["model"]
    schema = make_schema(scores, described)
    fields = [name_field(model, name).encode() for name in scores]
    lines = open_variants(scoring.source.path)
    rest = read_lines(scoring.source.path, lines)
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(outputs["table"]))
        write = stack.enter_context(open_output(outputs["vcf"]))
        table = stack.enter_context(pq.ParquetWriter(temporary, schema))
        header = make_header(lines.header, model, scores, described, sites_only=sites_only)
        for line in header:
            write(line)
        with Progress("write", "records", found.records) as progress:
            for number in range(found.parts):
                part = records.load(name_part(number))
                own = kept.load(name_part(number))[SCORES]
                part = _add_reasons(part, own)
                table.write_table(make_table(part, own, schema))
                for values, reasons in _by_record(part, own):
                    line = next(rest)
                    write(add_fields(line, fields, values, reasons, sites_only=sites_only))
                    progress.advance()
        if "features" in outputs:
            _write_features(found, kept, outputs["features"], described)


def _add_reasons(part: pa.Table, scores: np.ndarray) -> pa.Table:
    """Return a part in which alleles that lack a score, and have no reason yet, have one."""
    reasons = part[SKIP].to_pylist()
    found = [
        reason or (OTHER_TOKENS if lacks else None)
        for reason, lacks in zip(reasons, np.isnan(scores).any(axis=1), strict=True)
    ]
    place = part.schema.get_field_index(SKIP)
    return part.set_column(place, SKIP, pa.array(found, type=pa.string()))


def _by_record(
    part: pa.Table, scores: np.ndarray
) -> Iterator[tuple[list[list[float | None]], list[str | None]]]:
    """Yield the scores and reasons of the alleles of each record, none where ALT is '.'."""
    numbers = part["record"].to_numpy()
    reasons, alternatives = part[SKIP].to_pylist(), part["alt"].to_pylist()
    edges = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    for first, last in zip(edges, [*edges[1:], len(numbers)], strict=True):
        rows = [row for row in range(first, last) if alternatives[row] is not None]
        values = [[None if np.isnan(v) else float(v) for v in scores[row]] for row in rows]
        yield values, [reasons[row] for row in rows]


def _write_features(found: Scan, kept: Partial, path: str, described: Mapping[str, Any]) -> None:
    parts = [name_part(number) for number in range(found.parts)]
    width = kept.load(parts[0])[FEATURES[0]].shape[1] if parts else 0
    shapes = dict.fromkeys(FEATURES, (found.alleles, width))

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for name in FEATURES:
            own = [kept.load(part)[name] for part in parts]
            yield name, np.concatenate(own) if own else np.empty((0, 0), dtype=np.float32)

    metadata = {KEY: json.dumps(described)}
    stream_arrays(arrays(), shapes, dict.fromkeys(FEATURES, "float32"), path, metadata)
