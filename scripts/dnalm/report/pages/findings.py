"""Findings of a run in sentences, for people who do not read tables."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from dnalm.methods import BASELINE, BY_NAME, KMERS, LINEAR, PROBES, STRONGEST, UNTRAINED, Probe
from dnalm.report.method_names import label
from dnalm.report.metric_names import CHANCE, name_of
from dnalm.report.pages.context import context_findings
from dnalm.report.pages.grids import interval, score

# A correlation of unrelated labels and predictions varies by about 1 / sqrt(rows) around 0.
CHANCE_SDS = 2
MOST_IN_SHORT = 4  # models and methods whose gain by pretraining is told task by task in few lines
MIN_LEAKING_SHARE = 0.01  # share of test rows that resemble training rows, from which on it is said


def findings(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    tasks: pd.DataFrame,
    models: pd.DataFrame,
) -> list[str]:
    """Return the answers of a run: does pretraining help, do k-mers win, are the controls quiet.

    The first only where `pretraining_in_short` counts instead of naming tasks.
    """
    controls = set(tasks.loc[tasks["shuffled_labels"].astype(bool), "task"])
    real = comparisons[~comparisons["task"].isin(controls)]
    helps = _pretraining_helps(comparisons, controls)
    sentences = helps if len(helps) > MOST_IN_SHORT else []
    sentences += _against_baselines(real)
    sentences += context_findings(models)
    sentences += _constant(summary[~summary["task"].isin(controls)])
    sentences += [_control(task, summary, tasks) for task in sorted(controls)]
    sentences += [_leaks(summary), _published(summary), _edges(summary), _converged(summary)]
    return [sentence for sentence in sentences if sentence]


def pretraining_in_short(comparisons: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return on which tasks, but controls, each model beats its untrained twin, and by how much.

    Of more than `MOST_IN_SHORT` models and methods one sentence with how many pairs.
    """
    sentences = _pretraining_helps(comparisons, controls)
    if len(sentences) <= MOST_IN_SHORT:
        return sentences
    verdicts = _beside_untrained(comparisons, controls)["verdict"].value_counts()
    better, worse = (int(verdicts.get(verdict, 0)) for verdict in ("better", "worse"))
    return [
        f"Pretraining helped in {better} of {verdicts.sum()} pairs of a task with a model's method,"
        f" and was worse than untrained in {worse}; the others show no clear difference."
    ]


def _pretraining_helps(comparisons: pd.DataFrame, controls: Collection[str]) -> list[str]:
    return [
        _verdicts(label(method, model), UNTRAINED.against, pairs)
        for (model, method), pairs in _beside_untrained(comparisons, controls).groupby(
            ["model", "method"], sort=True
        )
    ]


def _beside_untrained(comparisons: pd.DataFrame, controls: Collection[str]) -> pd.DataFrame:
    own = comparisons[comparisons["against"] == UNTRAINED.against]
    return own[~own["task"].isin(list(controls))]


def kmers_win(comparisons: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return on which tasks, but controls, each trained model beats k-mers, a sentence for each.

    None is picked as the best: that choice would be made on test rows.
    """
    real = comparisons[~comparisons["task"].isin(list(controls))]
    return _against_baselines(real) or ["No trained model was run beside it here."]


def _against_baselines(comparisons: pd.DataFrame) -> list[str]:
    """Return where each trained model beats k-mers and, named, the strongest baseline."""
    pairs = comparisons[comparisons["against"].isin([KMERS.against, STRONGEST])]
    sentences = []
    for (model, method), own in pairs.groupby(["model", "method"], sort=True):
        name = label(method, model)
        by_sort = dict(iter(own.groupby("against")))
        parts = [
            _verdicts(name, against, by_sort[against])
            for against in (KMERS.against, STRONGEST)
            if against in by_sort
        ]
        if STRONGEST not in by_sort:
            parts.append("No baseline has validation scores by which the strongest is known.")
        sentences.append(" ".join(parts))
    return sentences


def _name_strongest(pairs: pd.DataFrame) -> str:
    """Return the strongest baselines in words, each with its tasks and its score there."""
    named = []
    for reference, own in pairs.groupby("reference", sort=True):
        scores = [
            f"{row['task']} {name_of(row['metric'])} {score(row['reference_score'])}"
            for row in own.sort_values("task").to_dict("records")
        ]
        named.append(f"{label(BASELINE, reference)} ({'; '.join(scores)})")
    return _list(named)


def _verdicts(name: str, against: str, pairs: pd.DataFrame) -> str:
    by_verdict = {
        verdict: _list(sorted(group["task"])) for verdict, group in pairs.groupby("verdict")
    }
    total = _tasks(len(pairs))
    better = int((pairs["verdict"] == "better").sum())
    if against == UNTRAINED.against:
        start = f"Pretraining helped {name} on {better} of {total}"
        rest = {"worse": "it was worse than untrained on"}
    elif against == STRONGEST:
        start = f"The strongest baseline by validation scores, {_name_strongest(pairs)}, it beat"
        start += f" on {better} of {total}"
        rest = {"worse": "it was worse on"}
    else:
        start = f"{name} beat k-mer counts on {better} of {total}"
        rest = {"worse": "k-mer counts were still better on"}
    won = by_verdict.get("better", "")
    if against == UNTRAINED.against:
        won = "; ".join(map(_gain, pairs[pairs["verdict"] == "better"].to_dict("records")))
    text = start + (f" ({won})" if better else "")
    if "worse" in by_verdict:
        text += f"; {rest['worse']} {by_verdict['worse']}"
    if "no clear difference" in by_verdict:
        text += f"; no clear difference on {by_verdict['no clear difference']}"
    return text + "."


def _gain(pair: Mapping) -> str:
    bounds = interval(pair["low"], pair["high"])
    return f"{pair['task']} by {score(pair['difference'])}, {bounds}"


def _control(task: str, summary: pd.DataFrame, tasks: pd.DataFrame) -> str:
    own = summary[summary["task"] == task]
    metric = own["metric"].iloc[0] if len(own) else ""
    if metric not in CHANCE:
        return ""
    chance = CHANCE[metric]
    facts = tasks[tasks["task"] == task].iloc[0]
    band = CHANCE_SDS * (own["score_sd"].fillna(0) ** 2 + _variance(metric, facts)) ** 0.5
    loud = own[(own["score_mean"] - chance).abs() > band]
    if loud.empty:
        return (
            f"On the control {task}, whose labels are shuffled, all score {chance:g} within chance."
        )
    names = [label(*pair) for pair in zip(loud["method"], loud["model"], strict=True)]
    return (
        f"Caution: on the control {task}, whose labels are shuffled, {_list(names)} "
        f"scored further from {chance:g} than two standard deviations of chance."
    )


def _variance(metric: str, task: pd.Series) -> float:
    """Return the variance of a score of unrelated labels and predictions."""
    rows = int(task["test_rows"])
    if metric != "auc_mean":
        return 1 / rows
    # Of a rank sum; the mean over labels varies no more than that of the rarest one.
    fewest = min(min(n, rows - n) for n in map(int, task["test_classes"].split(" / ")))
    return (1 / max(fewest, 1) + 1 / max(rows - fewest, 1)) / 12


def _constant(summary: pd.DataFrame) -> list[str]:
    """Return a caution for each fine-tuned model that predicts one class, whatever its score."""
    own = summary[(summary["constant_splits"] > 0) & summary["last_train_loss"].notna()]
    return [_caution(row) for row in own.to_dict("records")]


def _caution(row: Mapping) -> str:
    losses = f"{score(row['first_train_loss'])} to {score(row['last_train_loss'])}"
    if row["loss_falls"]:
        rest = f"while its training loss still falls ({losses}): it is not trained to its end, and"
        rest += " more steps, or another learning rate, may do better"
    else:
        rest = f"and its training loss falls no more ({losses}): it learned nothing of the task"
    name = label(row["method"], row["model"])
    return (
        f"Caution: {name} predicts one class alone on {row['task']}, in "
        f"{row['constant_splits']:.0f} of {row['n']} splits, {rest}."
    )


def _leaks(summary: pd.DataFrame) -> str:
    shares = summary.groupby("task")["leaking_share"].first()
    leaking = shares[shares >= MIN_LEAKING_SHARE]
    rows = f"{MIN_LEAKING_SHARE * 100:g} % or more of the test rows resemble training rows"
    if leaking.empty:
        return f"On no task {rows}."
    own = summary[summary["task"].isin(leaking.index)]
    changes = (own["clean_score"] - own["score_mean"]).dropna()
    most = "" if len(leaking) == 1 else "up to "
    sentence = f"On {len(leaking)} of {_tasks(len(shares))} {rows} ({most}"
    sentence += f"{100 * leaking.max():.0f} % on {leaking.idxmax()})"
    if len(changes):
        low, high = (
            f"{change:+.3f}".replace("-", "−") for change in (changes.min(), changes.max())
        )
        sentence += f"; without these rows scores change by {low} to {high}"
    return sentence + "."


def _published(summary: pd.DataFrame) -> str:
    if summary["published"].isna().all():
        return "None of these tasks has a published value."
    comparable = summary[summary["comparable"].astype(bool)]
    if comparable.empty:
        return (
            "No score here may be compared directly with a published one; published values are "
            "shown in grey, with the reason."
        )
    gap = comparable["published"] - comparable["score_mean"]
    few = "1 score" if len(comparable) == 1 else f"{len(comparable)} scores"
    return (
        f"{few} may be compared with published ones (same model, same row counts): "
        f"published minus ours is {gap.mean():+.3f} MCC on average.".replace("-", "−")
    )


def _edges(summary: pd.DataFrame) -> str:
    edge = summary[summary["edge"].astype(bool)]
    if edge.empty:
        return ""
    return (
        f"{len(edge)} of {len(summary)} choices made on validation rows lie on the edge of what "
        f"was searched (marked in the table of all methods); a wider search, or more steps, might "
        f"score better."
    )


def _converged(summary: pd.DataFrame) -> str:
    count = pd.to_numeric(summary["not_converged"], errors="coerce").fillna(0)
    failed = {probe.not_converged: 0 for probe in PROBES}
    for method, own in count.groupby(summary["method"]):
        row = BY_NAME.get(method)  # baselines are probed as the first of the table does
        failed[(row if isinstance(row, Probe) else LINEAR).not_converged] += int(own.sum())
    return " ".join(sentence.format(number) for sentence, number in failed.items() if number)


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _list(names: Sequence[str]) -> str:
    names = list(names)
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
