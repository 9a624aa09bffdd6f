"""The tables of the page as text: rounded, in words, in the order in which people read them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.kinds import KINDS, find_kind
from dnalm.report.method_names import Series
from dnalm.report.metric_names import name_of, shared_name

MISSING = "–"
SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Headings and rows of text; `numeric` columns are set right, `grey` rows are orientation."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    grey: frozenset[int] = field(default_factory=frozenset)
    best: frozenset[tuple[int, int]] = field(default_factory=frozenset)


def score(value: Any, sign: bool = False) -> str:
    """Return a score with three decimals."""
    if pd.isna(value):
        return MISSING
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("-", "−")


def interval(low: Any, high: Any, sign: bool = False) -> str:
    """Return an interval of scores."""
    return MISSING if pd.isna(low) else f"{score(low, sign)} … {score(high, sign)}"


def marked(row: Mapping[str, Any], text: str) -> str:
    """Return a score's text with the mark of its task, where one was added to the row."""
    return f"{text} {row['mark']}" if row.get("mark") else text


def count(value: Any) -> str:
    """Return a whole number with thousands marked."""
    return MISSING if pd.isna(value) or value == "" else f"{int(value):,}"


def large(value: Any) -> str:
    """Return a large number with three figures and a unit."""
    if pd.isna(value) or value == "":
        return MISSING
    rounded = float(f"{value:.3g}")  # 999,999 is 1 M, not 1e+03 k
    for size, unit in SIZES:
        if rounded >= size:
            return f"{rounded / size:.3g} {unit}"
    return f"{value:,.0f}"


def length(value: Any) -> str:
    """Return a number of bases with three figures and a unit: 862 bases, 12.1 Mb, 3.1 Gb."""
    text = large(value)
    return text if text == MISSING else f"{text}b" if value >= 1e3 else f"{text} bases"


def percent(part: Any, whole: Any = 1, digits: int = 2) -> str:
    """Return a share in percent; of nothing there is none."""
    if pd.isna(part) or pd.isna(whole) or not whole:
        return MISSING
    return f"{part / whole:.{digits}%}"


def duration(seconds: float) -> str:
    """Return seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def score_matrix(
    summary: pd.DataFrame, series: Sequence[Series], controls: Collection[str]
) -> Grid:
    """Return mean ± 2 SD of each task's metric, a row per task and a column per drawn series.

    Where metrics differ, a column says which. The best of a task is marked; of `controls`, tasks
    with shuffled labels, none is.
    """
    names = [s.label for s in series]
    cells = summary.set_index(["task", "series"])
    mixed = summary["metric"].nunique() > 1
    headings = ["task", *(["metric"] if mixed else [])]
    rows, best = [], set()
    for i, (task, own) in enumerate(summary[summary["series"].isin(names)].groupby("task")):
        row = [str(task), *([name_of(own["metric"].iloc[0])] if mixed else [])]
        for j, name in enumerate(names, start=len(headings)):
            if (task, name) not in cells.index:
                row.append(MISSING)
                continue
            cell = cells.loc[(task, name)]
            row.append(marked(cell, f"{score(cell['score_mean'])} ± {score(2 * cell['score_sd'])}"))
            if cell["score_mean"] == own["score_mean"].max() and task not in controls:
                best.add((i, j))
        rows.append(row)
    return make_grid([*headings, *names], rows, first=len(headings), best=best)


def scores_grids(summary: pd.DataFrame) -> dict[str, Grid]:
    """Return {metric: every method and task that it compares, with all metrics}, MCC first."""
    return {
        name_of(metric): _scores_grid(summary[summary["metric"] == metric])
        for metric in dict.fromkeys(kind.headline for kind in KINDS)
        if metric in set(summary["metric"])
    }


def _scores_grid(summary: pd.DataFrame) -> Grid:
    """Return the scores of tasks of one metric and what validation chose."""
    first, *others = find_kind(summary["kind"].iloc[0]).metrics
    headings = ["task", "method", "splits", name_of(first), "SD", "interval"]
    headings += [*map(name_of, others), "chosen"]
    rows = [
        [
            *[row["task"], row["series"], count(row["n"])],
            *[marked(row, score(row["score_mean"])), score(row["score_sd"])],
            interval(row["low"], row["high"]),
            *[score(row[f"{metric}_mean"]) for metric in others],
            _chosen(row),
        ]
        for row in summary.to_dict("records")
    ]
    return make_grid(headings, rows, first=2, last=len(headings) - 1)


def costs_grid(summary: pd.DataFrame) -> Grid:
    """Return score and costs of each method of a task on which any was fine-tuned.

    The time of a probe is without that of the embeddings, which all probes of a model share.
    """
    tuned = summary.loc[summary["trained_parameters"].notna(), "task"]
    rows = [
        [
            *[row["task"], row["series"], name_of(row["metric"])],
            *[marked(row, score(row["score_mean"])), _time(row["seconds"])],
            _memory_of(row),
            large(row["trained_parameters"]),
            percent(row["trained_parameters"], row["all_parameters"]),
        ]
        for row in summary[summary["task"].isin(set(tuned))].to_dict("records")
    ]
    headings = ["task", "method", "metric", "score", "time of all splits"]
    headings += ["peak memory", "trained", "share"]
    return make_grid(headings, rows, first=3)


def _time(seconds: Any) -> str:
    return MISSING if pd.isna(seconds) else duration(seconds)


def _memory_of(row: dict[str, Any]) -> str:
    memory = _memory(row["peak_memory_mb"])
    return memory if pd.isna(row["memory_of"]) else f"{memory} ({row['memory_of']})"


def _chosen(row: dict[str, Any]) -> str:
    chosen = MISSING if pd.isna(row["chosen"]) or not row["chosen"] else str(row["chosen"])
    return chosen + (" (edge of the search)" if row["edge"] else "")


def published_grid(summary: pd.DataFrame, tasks: pd.DataFrame) -> Grid:
    """Return our score beside the published one; rows that may not be compared are grey."""
    facts = tasks.set_index("task")
    rows, grey = [], set()
    for row in summary[summary["published"].notna()].to_dict("records"):
        task = facts.loc[row["task"]]
        spread = "" if pd.isna(row["published_sd"]) else f" ± {score(2 * row['published_sd'])}"
        if not row["comparable"]:
            grey.add(len(rows))
        rows.append(
            [
                *[
                    row["task"],
                    row["series"],
                    marked(row, f"{score(row['score_mean'])} ± {score(2 * row['score_sd'])}"),
                ],
                score(row["published"]) + spread,
                f"{row['published_model']}, {row['published_method']}, "
                f"{row['published_data_set']} set",
                f"{count(task['train_rows'])} / {count(task['test_rows'])}",
                f"{count(task['published_train_rows'])} / {count(task['published_test_rows'])}",
                "Yes" if row["comparable"] else f"No: {row['reason']}",
            ]
        )
    headings = ["task", "ours", "MCC here", "MCC published", "published model, method, data"]
    headings += ["train / test rows here", "train / test rows published", "comparable"]
    return make_grid(headings, rows, first=2, last=4, grey=grey)


def layers_grid(layers: pd.DataFrame) -> Grid:
    """Return the validation score of every feature set at its best penalty."""
    rows = [
        [
            *[row["task"], row["series"], row["feature"]],
            "" if pd.isna(row["penalty"]) else f"{row['penalty']:g}",
            *[score(row["validation_score"]), score(row["validation_score_sd"])],
            "chosen" if row["chosen"] else "",
        ]
        for row in layers.to_dict("records")
    ]
    name = f"validation {shared_name(layers['metric'])}"
    headings = ["task", "method", "features", "penalty C", name, "SD", ""]
    return make_grid(headings, rows, first=3, last=6)


def curve_grid(models: pd.DataFrame) -> Grid:
    """Return the end of each training curve, at <mask> positions."""
    trained = models[models["validation_loss"].notna()]
    rows = [
        [
            *[row["model"], count(row["steps"]), large(row["training_tokens"])],
            *[score(row[key]) for key in ("validation_loss", "test_loss", "unigram_loss")],
            *[percent(row[f"{kind}_accuracy"]) for kind in ("validation", "test", "unigram")],
        ]
        for row in trained.to_dict("records")
    ]
    headings = ["model", "steps", "tokens seen", "validation loss, nats", "test loss, nats"]
    headings += ["k-mer frequencies only", "validation accuracy", "test accuracy"]
    return make_grid([*headings, "accuracy, frequencies only"], rows, first=1)


def stages_grid(stages: pd.DataFrame) -> Grid:
    """Return time and memory per stage."""
    rows = [
        [
            *[row["stage"].replace("_", " "), count(row["jobs"]), duration(row["seconds"])],
            *[duration(row["largest_job_seconds"]), _time(row["processor_seconds"])],
            *[_gpu_time(row["gpu_seconds"]), _memory(row["peak_memory_mb"])],
        ]
        for row in stages.to_dict("records")
    ]
    headings = ["stage", "jobs", "time, all jobs", "longest job", "processor time", "GPU time"]
    headings += ["peak memory"]
    return make_grid(headings, rows, first=1)


def stages_sentence(stages: pd.DataFrame) -> str:
    """Return the sums over all stages, and how many stages have not said all that they took."""
    processor, gpu = stages["processor_seconds"], stages["gpu_seconds"]
    silent = int(gpu.isna().sum())
    rest = f", without {silent} of {len(stages)} stages, of which it is not recorded"
    return (
        f"In all {duration(stages['seconds'].sum())} of jobs: {duration(processor.sum())} of "
        f"processors and {_gpu_time(gpu.sum())} of GPUs{rest if silent else ''}."
    )


def _gpu_time(seconds: Any) -> str:
    """Return GPU time; 0 of what was computed on the CPU, a dash where nobody has recorded it."""
    return "0" if seconds == 0 else _time(seconds)


def _memory(megabytes: float) -> str:
    return MISSING if pd.isna(megabytes) else f"{large(megabytes * 1e6)}B"


def make_grid(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    first: int,
    last: int | None = None,
    grey: set[int] | None = None,
    best: set[tuple[int, int]] | None = None,
) -> Grid:
    """Return a grid whose columns `first` to `last` (exclusive) hold numbers."""
    return Grid(
        headings=list(headings),
        rows=rows,
        numeric=frozenset(range(first, len(headings) if last is None else last)),
        grey=frozenset(grey or ()),
        best=frozenset(best or ()),
    )
