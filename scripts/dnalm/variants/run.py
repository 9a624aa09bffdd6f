"""Scores of a file of variants, in parts, by a process per device; a killed job keeps its parts."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from dnalm.devices import find_precision, is_out_of_memory, visible_devices
from dnalm.errors import InputError
from dnalm.files import read_facts
from dnalm.jobs.device_use import note_devices
from dnalm.jobs.pace import measure_pace
from dnalm.jobs.partial import JSON, Format, Partial, clear, hold
from dnalm.jobs.progress import Progress, Tally, duration
from dnalm.jobs.workers import run_in_workers
from dnalm.model.tensors import UNREADABLE, read_arrays, save_arrays
from dnalm.variants.output import FEATURES, SCORES, write_scores
from dnalm.variants.passes import Scored, score_alleles
from dnalm.variants.readings import collect_windows, count_passes
from dnalm.variants.records import open_variants
from dnalm.variants.scan import PARQUET, Scan, facts_of, name_part, read_alleles, report, scan
from dnalm.variants.scoring import Scoring, describe, make_scoring

ARRAYS = Format(
    suffix=".safetensors",
    write=lambda path, arrays: save_arrays(arrays, path, {}),
    read=lambda path: read_arrays(path)[0],
    torn=UNREADABLE,
)
SCAN = "scan"
# Of the first part, by which the time of all is foretold: so many at least, a share of all at most.
TIMED_ALLELES, TIMED_SHARE = 8, 1 / 8

log = logging.getLogger(__name__)


def score_entry(
    files: Mapping[str, Any],
    settings: Mapping[str, Any],
    outputs: Mapping[str, str],
    partial: str | Path,
    threads: int,
) -> Scan:
    """Write the scores of an entry of `variants:` by one model, on all GPUs, else on all `threads`.

    `files` are those of `make_scoring`, `settings` the entry's with all defaults, and the name of
    its model; of an embedder also how it is opened.
    """
    devices = visible_devices()
    if devices == ["cpu"]:
        devices *= threads
    precision = find_precision(settings["precision"], "variant.precision", devices)
    scoring = make_scoring(files, {**settings, "precision": precision}, threads)
    source = read_facts(files["run"], ()).get("source") or {} if "run" in files else {}
    if "described" in files:
        source = read_facts(files["described"], ("licence",))
    names = {
        "set": settings["set"],
        "model": settings["model"],
        "licence": source.get("licence") or "none named",
    }
    return score_variants(
        scoring, outputs, names, partial, devices, sites_only=settings["sites_only"]
    )


def score_variants(
    scoring: Scoring,
    outputs: Mapping[str, str],
    names: Mapping[str, Any],
    partial: str | Path,
    devices: Sequence[str],
    *,
    sites_only: bool,
) -> Scan:
    """Write the scores of all variants, with one process per entry of `devices`.

    `outputs` are vcf, table and, if asked for, features; `names` the model, the set and what
    else the files say of themselves. Finished parts lie in a folder below `partial`, named by all
    that decides their numbers, from which the next call on the same goes on; it is removed in the
    end. Raises InputError for what `scan` refuses, where memory runs out, and when another job
    works below `partial`.
    """
    open_variants(scoring.source.path).close()  # before its checksum is taken
    with hold(partial) as lock:
        facts = scoring.facts()
        records = Partial(Path(partial) / "records", facts, PARQUET)
        kept = Partial(Path(partial) / "scores", facts, ARRAYS)
        found = _scan_once(scoring, Partial(Path(partial) / "counts", facts, JSON), records)
        report(found, scoring.source)
        with _explain_shortage(scoring, devices):
            _make_missing(scoring, found, records, kept, devices)
        lock.check()
        described = describe(scoring, facts, names)
        write_scores(scoring, found, (records, kept), outputs, described, sites_only=sites_only)
        clear(partial)
    log.info("%s: %d of %d alleles are scored", outputs["vcf"], found.scored, found.alleles)
    return found


def _scan_once(scoring: Scoring, counts: Partial, records: Partial) -> Scan:
    """Return the counts that an earlier start has kept, if all its parts are there."""
    kept = counts.find(SCAN)
    if kept is not None and all(
        records.path(name_part(number)).exists() for number in range(kept["parts"])
    ):
        return Scan(**kept)
    found = scan(scoring.source, scoring.open_windows(), scoring.plan, records)
    counts.write(SCAN, facts_of(found))
    return found


def _make_missing(
    scoring: Scoring, found: Scan, records: Partial, kept: Partial, devices: Sequence[str]
) -> None:
    parts = [name_part(number) for number in range(found.parts)]
    missing = [name for name in parts if kept.find(name) is None]
    log.info("%d of %d parts to make, on %s", len(missing), len(parts), ", ".join(devices))
    if not missing:
        return
    passes = found.passes * len(missing) // len(parts)
    shares = [missing[place :: len(devices)] for place in range(min(len(devices), len(missing)))]
    each = replace(scoring, threads=max(1, scoring.threads // len(shares)))
    note_devices(devices[: len(shares)])
    _tell_time(each, records, missing, passes, devices[: len(shares)])
    with Progress("score", "windows", passes) as progress, progress.tally() as tally:
        calls = (
            joblib.delayed(_make)(each, share, records, kept, device, tally)
            for share, device in zip(shares, devices, strict=False)
        )
        run_in_workers(calls, len(shares))


def _make(
    scoring: Scoring,
    parts: Sequence[str],
    records: Partial,
    kept: Partial,
    device: str,
    tally: Tally,
) -> None:
    torch.set_num_threads(scoring.threads)
    model, windows = scoring.open_model(device), scoring.open_windows()
    for name in parts:
        table = records.load(name)
        scored = score_alleles(
            model,
            windows,
            read_alleles(table),
            len(table),
            scoring.plan,
            scoring.batch_tokens,
            tally.add,
        )
        width = model.width if scoring.plan.features else 0
        kept.write(name, _to_arrays(scored, len(table), width))


def _tell_time(
    scoring: Scoring, records: Partial, missing: Sequence[str], passes: int, devices: Sequence[str]
) -> None:
    """Log how long the scores will take, from the time of the first alleles."""
    windows, alleles = scoring.open_windows(), {}
    for name in missing:
        if alleles := read_alleles(records.load(name)):
            break
    if not alleles:
        return
    torch.set_num_threads(scoring.threads)
    model = scoring.open_model(devices[0])

    def read(count: int) -> int:
        some = dict(enumerate(list(alleles.values())[:count]))
        score_alleles(model, windows, some, len(some), scoring.plan, scoring.batch_tokens)
        return count_passes(collect_windows(windows, some, scoring.plan), scoring.plan)

    share = int(TIMED_SHARE * len(alleles) * len(missing))
    most = min(len(alleles), max(TIMED_ALLELES, share))
    if pace := measure_pace(read, TIMED_ALLELES, most):
        log.info(
            "about %s for %d windows on %d devices",
            *(duration(pace * passes / len(devices)), passes, len(devices)),
        )


def _to_arrays(scored: Scored, rows: int, width: int) -> dict[str, np.ndarray]:
    """Return what is kept of a part; of one without a readable allele the features are NaN."""
    empty = np.full((rows, width), np.nan, dtype=np.float32)
    found = {name: getattr(scored, name) for name in FEATURES}
    vectors = {name: empty if own is None else own for name, own in found.items()}
    return {SCORES: scored.scores, **vectors}


@contextmanager
def _explain_shortage(scoring: Scoring, devices: Sequence[str]) -> Iterator[None]:
    """Raise InputError that says what to change where this block runs out of memory."""
    try:
        yield
    except (TerminatedWorkerError, MemoryError, RuntimeError) as error:
        if not isinstance(error, TerminatedWorkerError) and not is_out_of_memory(error):
            raise
        raise InputError(
            f"A process that scored {scoring.source.path} on {', '.join(devices)} was killed or ran"
            " out of memory: give the job more memory, or devices that have more, or lower"
            f" variant.batch_tokens, which is {scoring.batch_tokens}; what was finished is kept."
        ) from error
