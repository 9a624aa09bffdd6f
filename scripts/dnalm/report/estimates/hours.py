"""Hours, memory and disk of the stages of a run: here by measured rates, on GPUs by their peaks."""

import csv
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnalm.files import atomic_path, write_json
from dnalm.jobs.gpus import find_gpus
from dnalm.report.estimates.genome_work import list_exposure, list_haplotypes, list_pretraining
from dnalm.report.estimates.interpretation_work import (
    list_annotations,
    list_assays,
    list_snps,
    list_tracks,
)
from dnalm.report.estimates.rates import Rates, measure_rates
from dnalm.report.estimates.task_work import (
    list_baselines,
    list_embedding,
    list_finetuning,
    list_networks,
    list_predictions,
    list_probing,
)
from dnalm.report.estimates.variant_work import list_variant_finetuning, list_variants
from dnalm.report.estimates.work import FLOP, Model, Work, Workload

STAGES: tuple[Callable[[Workload, Mapping[str, Model]], Iterator[Work]], ...] = (
    list_haplotypes,
    list_pretraining,
    list_exposure,
    list_embedding,
    list_probing,
    list_baselines,
    list_networks,
    list_finetuning,
    list_predictions,
    list_variants,
    list_variant_finetuning,
    list_annotations,
    list_snps,
    list_assays,
    list_tracks,
)
SECONDS_PER_HOUR = 3600
MOST_OF_A_UNIT = 90  # seconds, or minutes, before the next unit is easier to read
GB = 1e9

log = logging.getLogger(__name__)


def list_work(load: Workload) -> list[Work]:
    """Return the work of a workload, in the order of the stages."""
    models = {name: Model.of(name, facts) for name, facts in load["models"].items()}
    return [work for stage in STAGES for work in stage(load, models)]


def count_seconds(work: Work, rates: Rates, start: float) -> float | None:
    """Return the processor seconds of a work on this machine, its jobs' start included."""
    if work.amount is None or work.rate not in rates:
        return None
    return work.amount / rates[work.rate] + work.jobs * start


def tabulate(
    load: Workload, works: Sequence[Work], rates: Rates, start: float
) -> list[dict[str, Any]]:
    """Return a row per stage, method and model: the sums over its tasks, the largest memory.

    Hours on a GPU are of one of them, at the assumed share of its peak; what runs on processors
    alone has none. `unknown` counts the tasks, genomes or files of which nothing is known yet, and
    that are in no sum.
    """
    groups: dict[tuple[str, str, str], list[Work]] = defaultdict(list)
    for work in works:
        groups[work.stage, work.method, work.model].append(work)
    gpus, share = find_gpus(load["estimate"]["gpus"]), load["estimate"]["utilisation"]
    rows = []
    for (stage, method, model), own in groups.items():
        known = [work for work in own if work.amount is not None]
        seconds = [count_seconds(work, rates, start) for work in known]
        measured = None not in seconds and known
        amount = sum(work.amount for work in known)
        row = {
            "stage": stage,
            "method": method,
            "model": model,
            "jobs": sum(work.jobs for work in own),
            "unknown": len(own) - len(known),
            "reason": "; ".join(dict.fromkeys(work.unknown for work in own if work.unknown)),
            "amount": amount,
            "unit": own[0].unit,
            "rate_here": amount / _without_start(known, rates) if measured else None,
            "core_hours_here": sum(seconds) / SECONDS_PER_HOUR if measured else None,
            "memory_gb": max(work.memory for work in own) / GB,
            "disk_gb": sum(work.disk for work in own) / GB,
        }
        for gpu in gpus:
            on_gpu = known and own[0].unit == FLOP and all(work.precision for work in known)
            row[f"hours_{gpu.name}"] = (
                sum(work.amount / (share * gpu.reach_peak(work.precision)) for work in known)
                / SECONDS_PER_HOUR
                if on_gpu
                else None
            )
        rows.append(row)
    return rows


def _without_start(works: Sequence[Work], rates: Rates) -> float:
    return max(sum(work.amount / rates[work.rate] for work in works), 1e-9)


def summarise(load: Workload, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines for people: a stage each, then what is not known, and what was assumed."""
    names, share = load["estimate"]["gpus"], load["estimate"]["utilisation"]
    stages: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        # Baselines and the two steps of a search are one line each.
        detail = row["method"] if row["model"] else ""
        stages[row["stage"], detail].append(row)
    lines = [("", "one core here", "disk", *(f"one {name}" for name in names))]
    for (stage, method), own in stages.items():
        here, *on_gpus = (
            _time(_sum(own, key)) for key in ("core_hours_here", *(f"hours_{n}" for n in names))
        )
        disk = f"{_number(_sum(own, 'disk_gb') or 0.0)} GB"
        lines.append((f"{stage} {method}".strip(), here, disk, *on_gpus))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        text.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text.append(f"This machine has {cores} cores: divide by as many as work at once.")
    text.append(
        f"On a GPU: arithmetic at {share:g} of its dense peak (estimate.utilisation);"
        " nothing was measured on one. -: runs on processors, or nothing is known."
    )
    for row in rows:
        if row["unknown"]:
            what = " ".join(filter(None, (row["stage"], row["method"], row["model"])))
            text.append(f"Not counted: {row['unknown']} × {what} ({row['reason']}).")
    return text


def _sum(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return sum(values) if values else None


def _time(hours: float | None) -> str:
    if hours is None:
        return "-"
    for unit, size in (("s", 1 / SECONDS_PER_HOUR), ("min", 1 / 60), ("h", 1.0)):
        if hours < MOST_OF_A_UNIT * size:
            return f"{_number(hours / size)} {unit}"
    return f"{_number(hours)} h"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"


@dataclass(frozen=True, kw_only=True)
class EstimateFiles:
    """Where the estimates are written."""

    table: str | Path
    summary: str | Path
    rates: str | Path


def write_hours(load: Workload, files: EstimateFiles) -> None:
    """Measure the rates that a workload needs, and write table, summary and rates."""
    works = list_work(load)
    rates, start = measure_rates(load, works)
    rows = tabulate(load, works, rates, start)
    with (
        atomic_path(files.table) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        columns = list(rows[0]) if rows else []
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    measured = {work.rate: work.unit for work in works if work.rate in rates}
    facts = {
        "job_start_seconds": round(start, 2),
        "rates": [
            {"of": list(key), "unit": f"{unit} per processor second", "rate": rates[key]}
            for key, unit in measured.items()
        ],
        "gpus": [asdict(gpu) for gpu in find_gpus(load["estimate"]["gpus"])],
        "utilisation": load["estimate"]["utilisation"],
    }
    write_json(files.rates, facts)
    text = summarise(load, rows)
    with atomic_path(files.summary) as temporary:
        Path(temporary).write_text("\n".join(text) + "\n", encoding="utf-8")
    for line in text:
        log.info("%s", line)
    log.info("%s: %d stages, methods and models", files.table, len(rows))


def _cell(value: Any) -> Any:
    """Return four digits of a number, nothing for None."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else value
