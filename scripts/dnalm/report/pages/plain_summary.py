"""The short version of a run for people at a terminal: plain text of at most 100 columns."""

import textwrap
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from dnalm.benchmark.scoring.bootstrap import HELD_OUT, USED
from dnalm.methods import UNTRAINED
from dnalm.report.method_names import add_labels, label, plan
from dnalm.report.metric_names import shared_name
from dnalm.report.pages.context import context_findings
from dnalm.report.pages.facts import licence_notes, simulated_note
from dnalm.report.pages.findings import pretraining_in_short
from dnalm.report.pages.grids import (
    MISSING,
    Grid,
    count,
    interval,
    large,
    make_grid,
    score,
    score_matrix,
)
from dnalm.report.pages.leakage import add_marks
from dnalm.report.pages.verdicts import (
    choices_grid,
    headline_sentences,
    reproduction_sentences,
    rows_can_tell,
)
from dnalm.report.tables.audits import RELATED

WIDTH = 100
COLUMN_GAP = "  "
MODELS = "Models (losses in nats at <mask>; k-mer frequencies and gain on validation windows)"
CONTEXT = "What the models took from context (held-out windows, nats at the same <mask>s)"
# Cells are wrapped no narrower than need be; what still does not fit goes into blocks below.
CELL_WIDTHS = (48, 36, 30, 24, 20, 16)


def plain_summary(tables: Mapping[str, pd.DataFrame], stages: pd.DataFrame) -> str:
    """Return models, times, scores, what pretraining adds and where, as text.

    `tables` are those of make_tables by name, `stages` the time per stage.
    """
    named = {name: add_labels(tables[name]) for name in ("summary", "comparisons", "lift")}
    named["summary"] = add_marks(named["summary"], tables["summary"])
    summary, note = named["summary"], simulated_note(tables)
    controls = set(tables["tasks"].loc[tables["tasks"]["shuffled_labels"].astype(bool), "task"])
    splits = ", ".join(map(str, sorted(set(summary["n"])))) or "none"
    name = shared_name(summary["metric"])
    sections = [
        ("In short", _sentences(_short(tables, controls))),
        ("What to use, as validation rows choose", choices_grid(tables["choices"], controls)),
        (MODELS, _models(tables["models"])),
        (CONTEXT, _sentences(context_findings(tables["models"]))),
        ("Time (of the last attempt of each job)", _stages(stages)),
        (f"Test {name}, mean ± 2 SD over splits (splits: {splits})", _scores(summary, tables)),
        ("Test rows that resemble training rows († at least 1 %, ‡ 10 %)", _leaks(tables)),
        (f"Test {name} on all and on clean test rows, where these differ", _clean(summary)),
        ("Published values of what was run, with a verdict", _verdicts(tables["reproduction"])),
        ("Published MCC of these tasks", _published(summary)),
        (
            f"Trained − untrained {name}, paired over test rows",
            _differences(named["comparisons"]),
        ),
        (f"Trained − untrained {name} by contigs of the test rows", _lift(named["lift"])),
    ]
    parts = [f"{note.upper()}\n"] if note else []
    parts += [f"{textwrap.fill(sentence, WIDTH)}\n" for sentence in licence_notes(tables["models"])]
    for title, content in sections:
        body = content if isinstance(content, str) else as_text(content) if content.rows else ""
        body = body or "Nothing to show."
        parts.append(f"{title}\n{'-' * len(title)}\n{body}\n")
    return "\n".join(parts)


def as_text(grid: Grid) -> str:
    """Return a grid as lines of at most 100 columns; cells are wrapped, numbers set right.

    Columns that do not fit go into further blocks, each of which begins with the first column.
    """
    cells = [grid.headings, *grid.rows]
    for limit in CELL_WIDTHS:
        widths = [max(map(len, _column(cells, j, limit))) for j in range(len(grid.headings))]
        if sum(widths) + len(COLUMN_GAP) * (len(widths) - 1) <= WIDTH:
            break
    blocks, used = [[0]], widths[0]
    for j in range(1, len(widths)):
        used += len(COLUMN_GAP) + widths[j]
        if used > WIDTH:
            blocks.append([0])
            used = widths[0] + len(COLUMN_GAP) + widths[j]
        blocks[-1].append(j)
    return "\n\n".join(
        "\n".join(line for row in cells for line in _lines(row, block, widths, grid.numeric))
        for block in blocks
    )


def _sentences(sentences: Sequence[str]) -> str:
    options = {"width": WIDTH, "initial_indent": "- ", "subsequent_indent": "  "}
    return "\n".join(textwrap.fill(sentence, **options) for sentence in sentences)


def _column(cells: Sequence[Sequence[str]], j: int, limit: int) -> list[str]:
    return [line for row in cells for line in _wrap(row[j], limit)]


def _wrap(cell: str, limit: int) -> list[str]:
    """Return the cell's lines; names are broken only where they alone are too long."""
    longest = max(map(len, cell.split()), default=0)
    limit = max(limit, min(longest, CELL_WIDTHS[0]))
    return textwrap.wrap(cell, limit, break_on_hyphens=False) or [""]


def _lines(
    row: Sequence[str], block: Sequence[int], widths: Sequence[int], numeric: frozenset[int]
) -> list[str]:
    """Return the lines of one row's columns `block`."""
    wrapped = [_wrap(row[j], widths[j]) for j in block]
    lines = []
    for i in range(max(map(len, wrapped))):
        parts = [part[i] if i < len(part) else "" for part in wrapped]
        set_out = [
            part.rjust(widths[j]) if j in numeric else part.ljust(widths[j])
            for part, j in zip(parts, block, strict=True)
        ]
        lines.append(COLUMN_GAP.join(set_out).rstrip())
    return lines


def _models(models: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["model"], large(row["parameters"]), *_training(row)],
            *[score(row[key]) for key in ("validation_loss", "test_loss", "unigram_loss")],
            _gain(row),
        ]
        for row in models.to_dict("records")
    ]
    headings = ["model", "parameters", "steps", "tokens", "validation", "test", "k-mers", "gain"]
    return make_grid(headings, rows, first=1)


def _training(model: Mapping) -> list[str]:
    """Return steps and tokens of its training, of which weights that were given say nothing."""
    if not model["steps"] and not model["untrained_of"]:
        return [MISSING, MISSING]
    return [count(model["steps"]), large(model["training_tokens"])]


def _gain(model: Mapping) -> str:
    return score(model["unigram_loss"] - model["validation_loss"], sign=True)


def _stages(stages: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["stage"], count(row["jobs"])],
            *_seconds(row["seconds"], row["largest_job_seconds"], row["gpu_seconds"]),
        ]
        for row in stages.to_dict("records")
    ]
    if rows:
        longest = stages["largest_job_seconds"].max()
        rows.append(
            [
                *["total", count(stages["jobs"].sum())],
                *_seconds(stages["seconds"].sum(), longest),
                *_seconds(stages["gpu_seconds"].sum(skipna=False)),
            ]
        )
    return make_grid(["stage", "jobs", "seconds", "longest job", "on GPUs"], rows, first=1)


def _seconds(*values: float) -> list[str]:
    return [MISSING if pd.isna(value) else f"{value:,.1f}" for value in values]


def _scores(summary: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> Grid:
    models = tables["models"].set_index("model")["untrained_of"]
    series = plan(summary, dict(models[models != ""]))
    return score_matrix(summary, series, controls=())


def _leaks(tables: Mapping[str, pd.DataFrame]) -> Grid:
    shares = tables["summary"].groupby("task")["leaking_share"].first()
    rows = [
        [
            *[row["task"], count(row["test_rows"])],
            *[count(row[f"test_in_train_{relation}"]) for relation in RELATED],
            MISSING if row["task"] not in shares else f"{shares[row['task']]:.2%}",
            *[score(row[f"{what}_strength"]) for what in ("gc", "length", "strand")],
        ]
        for row in tables["audits"].to_dict("records")
    ]
    headings = ["task", "test rows", "identical", "near", "overlap", "leaking"]
    return make_grid([*headings, "label by GC", "by length", "by strand"], rows, first=1)


def _clean(summary: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["task"], row["series"], score(row["score_mean"]), _interval(row, sign=False)],
            *[count(row["clean_rows"]), score(row["clean_score"])],
            interval(row["clean_low"], row["clean_high"]),
        ]
        for row in summary[summary["clean_rows"] < summary["rows"]].to_dict("records")
    ]
    headings = ["task", "method", "all", "interval", "clean rows", "clean", "interval"]
    return make_grid(headings, rows, first=2)


def _published(summary: pd.DataFrame) -> Grid:
    """Return the published values of each task once, those that may be compared first."""
    known = summary[summary["published"].notna()]
    known = known.sort_values(["task", "comparable"], ascending=[True, False], kind="stable")
    names = ["task", "published", "published_model", "published_method"]
    rows = [
        [
            *[row["task"], score(row["published"])],
            MISSING if pd.isna(row["published_sd"]) else f"± {score(2 * row['published_sd'])}",
            f"{row['published_model']}, {row['published_method']}",
            "comparable" if row["comparable"] else "for orientation",
        ]
        for row in known.drop_duplicates(names).to_dict("records")
    ]
    return make_grid(["task", "MCC", "2 SD", "model, method", "use"], rows, first=1, last=3)


def _short(tables: Mapping[str, pd.DataFrame], controls: Collection[str]) -> list[str]:
    return [
        *headline_sentences(tables["headline"]),
        *pretraining_in_short(tables["comparisons"], controls),
        *reproduction_sentences(tables["reproduction"]),
        *rows_can_tell(tables["choices"], controls),
    ]


def _verdicts(reproduction: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["task"], label(row["method"], row["model"]), row["published_metric"]],
            *[score(row["score"]), score(row["published"]), score(row["difference"], sign=True)],
            *[row["verdict"], row["reason"]],
        ]
        for row in reproduction.to_dict("records")
    ]
    headings = ["task", "ours", "metric", "here", "published", "difference", "verdict", "reason"]
    return make_grid(headings, rows, first=3, last=6)


def _differences(comparisons: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["task"], row["series"], score(row["difference"], sign=True)],
            *[_interval(row), row["verdict"]],
        ]
        for row in comparisons[comparisons["against"] == UNTRAINED.against].to_dict("records")
    ]
    headings = ["task", "method", "difference", "interval", "verdict"]
    return make_grid(headings, rows, first=2, last=4)


def _lift(lift: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["task"], row["series"], row["region"]],
            *[count(row["rows"]), score(row["lift"], sign=True), _interval(row)],
        ]
        for row in lift[lift["region"].isin([USED, HELD_OUT])].to_dict("records")
    ]
    headings = ["task", "method", "test rows", "rows", "difference", "interval"]
    return make_grid(headings, rows, first=3)


def _interval(row: Mapping, sign: bool = True) -> str:
    return interval(row["low"], row["high"], sign)
