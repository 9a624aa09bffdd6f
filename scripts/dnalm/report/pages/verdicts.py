"""What to use and what to believe: the choice of each task, the means, the published values."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from dnalm.methods import BASELINE
from dnalm.report.method_names import label
from dnalm.report.metric_names import name_of
from dnalm.report.pages.grids import MISSING, Grid, count, interval, make_grid, percent, score
from dnalm.report.tables.verdicts.headline import ALL
from dnalm.report.tables.verdicts.reproduction import NOT_COMPARABLE, VERDICTS

MIN_COARSE = 0.05  # half-width of a paired interval from which on it is said
NO_MARGIN = "it is the strongest baseline itself"


def headline_sentences(headline: pd.DataFrame) -> list[str]:
    """Return for each set and metric who has the best mean over all tasks, and how surely."""
    sentences = []
    whole = headline[(headline["category"] == ALL) & headline["rank"].notna()]
    for (name, metric), own in whole.groupby(["set", "metric"], sort=False):
        ranked = own.sort_values(["rank", "method", "model"], kind="stable")
        first = ranked.iloc[0]
        if len(ranked) == 1 or first["tasks"] < 2:
            continue  # a mean of one, and the best of one, say nothing that no other table says
        tied = ranked.iloc[1]
        sentence = (
            f"Over the {first['tasks']:.0f} tasks of {name} the best mean {name_of(metric)}, a "
            f"measure settled before any score, is {_mean(first)}, of {_named(first)}: first in "
            f"{percent(first['best_share'], digits=0)} of the draws of test rows. The next is "
            f"{_mean(tied)}, of {_named(tied)}."
        )
        missing = headline[
            (headline["set"] == name)
            & (headline["metric"] == metric)
            & (headline["category"] == ALL)
            & headline["rank"].isna()
        ]
        if len(missing):
            sentence += f" {len(missing)} others were not run on all of these tasks."
        sentences.append(sentence)
    return sentences


def _named(row: pd.Series) -> str:
    return label(row["method"], row["model"])


def _mean(row: pd.Series) -> str:
    return f"{score(row['score'])} ({interval(row['low'], row['high'])})"


def headline_grid(headline: pd.DataFrame) -> Grid:
    """Return all means over tasks, with their ranks."""
    rows = [
        [
            *[row["set"], row["category"], label(row["method"], row["model"])],
            *[name_of(row["metric"]), f"{row['tasks_scored']} of {row['tasks']}"],
            *[score(row["score"]), interval(row["low"], row["high"])],
            *[count(row["rank"]), percent(row["best_share"], digits=0)],
        ]
        for row in headline.sort_values(
            ["set", "metric", "category", "rank"], kind="stable"
        ).to_dict("records")
    ]
    headings = ["set", "tasks", "method", "metric", "scored", "mean", "interval", "rank"]
    return make_grid([*headings, "first in draws"], rows, first=4)


def choices_grid(choices: pd.DataFrame, controls: Collection[str]) -> Grid:
    """Return what validation rows choose for each task, but for controls, and what to doubt."""
    rows = []
    for row in choices[~choices["task"].isin(list(controls))].to_dict("records"):
        if not row["method"]:
            rows.append([row["task"], "no method has validation scores", *[MISSING] * 5])
            continue
        rows.append(
            [
                *[row["task"], _use(row)],
                f"{score(row['score_mean'])} ({interval(row['low'], row['high'])})",
                _margin(row),
                *[count(row["rows"]), score(row["resolution"])],
                row["cautions"] or "nothing was found",
            ]
        )
    headings = ["task", "use", "test score (interval)", "over the strongest baseline"]
    headings += ["test rows", "cannot tell apart below", "against it"]
    return make_grid(headings, rows, first=4, last=6)


def _use(row: Mapping[str, Any]) -> str:
    parts = [label(row["method"], row["model"]), row["chosen"]]
    if row["method"] != BASELINE and row["pooling"]:
        parts.append(f"pooling {row['pooling']}")
    return ", ".join(filter(None, parts))


def _margin(row: Mapping[str, Any]) -> str:
    if pd.isna(row["margin"]):
        return NO_MARGIN if row["method"] == BASELINE else MISSING
    ends = interval(row["margin_low"], row["margin_high"], sign=True)
    return f"{score(row['margin'], sign=True)} ({ends}) over {label(BASELINE, row['reference'])}"


def prediction_lines(choices: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return for each task whose choice is a language model's the entry of `predictions:`."""
    return [
        f"{_entry(row['task'])}: {{model: {row['model']}, method: {row['method']}, "
        f"task: {row['task']}, path: my.fasta}}"
        for row in _chosen_models(choices, controls)
        if row["predicts"]
    ]


def tasks_without_prediction(choices: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return the tasks whose choice is a language model's that reads no other sequences."""
    return [row["task"] for row in _chosen_models(choices, controls) if not row["predicts"]]


def _chosen_models(choices: pd.DataFrame, controls: Collection[str]) -> list[dict[str, Any]]:
    """Return the choices that are trained language models', without tasks of shuffled labels."""
    return [
        row
        for row in choices.to_dict("records")
        if row["method"] not in ("", BASELINE)
        and row["task"] not in controls
        and not row["model"].endswith(".untrained")
    ]


def _entry(task: str) -> str:
    return f"my_{task.replace('.', '_')}"


def reproduction_sentences(reproduction: pd.DataFrame) -> list[str]:
    """Return how many published values there are beside ours, by verdict."""
    if reproduction.empty:
        return [
            "No published value is of a model, method and task of this run, so it neither "
            "reproduces the paper nor contradicts it."
        ]
    counts = reproduction["verdict"].value_counts()
    named = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts.get(verdict)]
    values = "1 published value is" if len(reproduction) == 1 else f"{len(reproduction)} are"
    return [f"Of the published values {values} of what was run here: {', '.join(named)}."]


def reproduction_grid(reproduction: pd.DataFrame) -> Grid:
    """Return every published value beside ours, with its verdict; those not comparable are grey."""
    rows, grey = [], set()
    for row in reproduction.to_dict("records"):
        if row["verdict"] == NOT_COMPARABLE:
            grey.add(len(rows))
        spread = "" if pd.isna(row["published_sd"]) else f" ± {score(2 * row['published_sd'])}"
        ours = MISSING if pd.isna(row["score"]) else score(row["score"])
        rows.append(
            [
                ", ".join(filter(None, [row["task"], row["reading"]])),
                label(row["method"], row["model"]),
                row["published_metric"],
                *[ours, interval(row["low"], row["high"])],
                score(row["published"]) + spread,
                score(row["difference"], sign=True),
                interval(row["difference_low"], row["difference_high"], sign=True),
                *[row["verdict"], row["reason"]],
                f"{row['published_model']}, {row['published_method']}; {row['source']} "
                f"({row['confidence']})",
            ]
        )
    headings = ["task", "ours", "metric", "here", "interval", "published ± 2 SD", "difference"]
    headings += ["its interval", "verdict", "reason", "published model, method and source"]
    return make_grid(headings, rows, first=3, last=8, grey=grey)


def rows_can_tell(choices: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return for which tasks the test rows are too few to tell usual differences apart."""
    own = choices[~choices["task"].isin(list(controls)) & choices["resolution"].notna()]
    coarse = own[own["resolution"] >= MIN_COARSE].sort_values("resolution", ascending=False)
    if coarse.empty:
        return []
    worst = coarse.iloc[0]
    low = max(0.0, worst["score_mean"] - worst["resolution"])
    others = "" if len(coarse) < 2 else f"; nor can those of {_others(len(coarse) - 1)}"
    return [
        f"The {worst['rows']:,} test rows of {worst['task']} cannot tell {low:.2f} from "
        f"{low + worst['resolution']:.2f}{others}."
    ]


def _others(tasks: int) -> str:
    return "1 other task" if tasks == 1 else f"{tasks} other tasks"
