"""Fine-tuning beside probing: pairs of the two on one model and task, as table and as sentence."""

import pandas as pd

from dnalm.benchmark.scoring.bootstrap import verdict
from dnalm.methods import ANOTHER, LINEAR, PROBE_NAMES
from dnalm.report.metric_names import shared_name
from dnalm.report.pages.grids import Grid, interval, make_grid, marked, score

OWN = ("score", "low", "high")  # of each of the two
COLUMNS = ("task", "model", "series", "probe_series", "metric", "mark")
COLUMNS += (*OWN, *(f"probe_{key}" for key in OWN))
COLUMNS += ("difference", "difference_low", "difference_high", "verdict")


def pair_methods(summary: pd.DataFrame, comparisons: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return a row for each fine-tuning of a model that was probed on the same task, too.

    The probe is the logistic regression where it was run. Scores come with their intervals over
    test rows, the difference, fine-tuning − probing, with that of both on the same rows; the
    verdict is that of its corrected p-value. `summary` and `comparisons` have their labels.
    """
    results = summary.set_index(["method", "model", "task"])
    rows: dict[tuple[str, str, str], dict] = {}
    pairs = comparisons[comparisons["against"] == ANOTHER]
    for pair in pairs[pairs["model"] == pairs["reference"]].to_dict("records"):
        methods = pair["method"], pair["reference_method"]
        probes = [method for method in methods if method in PROBE_NAMES]
        if len(probes) != 1:
            continue
        sign = 1 if methods[1] == probes[0] else -1
        (probe,), (tuned,) = probes, set(methods) - set(probes)
        key = pair["task"], pair["model"], tuned
        if key in rows and probe != LINEAR.name:
            continue
        own, other = (results.loc[(name, pair["model"], pair["task"])] for name in (tuned, probe))
        ends = sorted(sign * pair[end] for end in ("low", "high"))
        difference = sign * pair["difference"]
        rows[key] = {
            "task": pair["task"],
            "model": pair["model"],
            "series": own["series"],
            "probe_series": other["series"],
            "metric": pair["metric"],
            "mark": own.get("mark", ""),
            "score": own["score_mean"],
            "low": own["low"],
            "high": own["high"],
            "probe_score": other["score_mean"],
            **{f"probe_{end}": other[end] for end in ("low", "high")},
            "difference": difference,
            "difference_low": ends[0],
            "difference_high": ends[1],
            "verdict": verdict(difference, pair["p_adjusted"], level),
        }
    return pd.DataFrame(list(rows.values()), columns=list(COLUMNS))


def probing_sentence(pairs: pd.DataFrame) -> str:
    """Return in words how often fine-tuning or probing scores higher."""
    decided = (pairs["difference_low"] > 0) | (pairs["difference_high"] < 0)
    higher = pairs["difference"] > 0
    return (
        f"Of {len(pairs)} pairs of a fine-tuned and a probed model on one task, fine-tuning scores "
        f"higher in {higher.sum()}, in {(higher & decided).sum()} of them with an interval above "
        f"0; probing in {(~higher).sum()}, in {(~higher & decided).sum()} with one below."
    )


def probing_grid(pairs: pd.DataFrame) -> Grid:
    """Return the pairs as text."""
    rows = [
        [
            *[row["task"], row["series"]],
            *[marked(row, score(row["score"])), interval(row["low"], row["high"])],
            *[score(row["probe_score"]), interval(row["probe_low"], row["probe_high"])],
            score(row["difference"], sign=True),
            interval(row["difference_low"], row["difference_high"], sign=True),
            row["verdict"],
        ]
        for row in pairs.to_dict("records")
    ]
    name = shared_name(pairs["metric"])
    headings = ["task", "method", name, "interval", f"{name}, probe", "interval", "difference"]
    return make_grid([*headings, "interval", "verdict"], rows, first=2, last=8)


def crop_note(summary: pd.DataFrame) -> str:
    """Return a sentence on the sequences that were cropped, by task and model; "" without any."""
    cropped = summary[summary["cropped_rows"].fillna(0) > 0]
    counts = cropped.groupby(["task", "model"], sort=True)["cropped_rows"].max().reset_index()
    told = [
        f"{int(rows):,} of {task} ({', '.join(own['model'])})"
        for (task, rows), own in counts.groupby(["task", "cropped_rows"], sort=True)
    ]
    start = "Of sequences that are longer than a model's context the middle was read: "
    return f"{start}{'; '.join(told)}." if told else ""
