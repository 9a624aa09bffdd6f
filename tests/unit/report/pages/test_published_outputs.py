"""Scores of single labels beside published ones: a figure of each result, undefined by name."""

import pandas as pd

from dnalm.report.pages.test_rows import published_outputs_figures, undefined_outputs
from dnalm.report.tables.verdicts.outputs import output_groups_table

from .test_kinds import show

PROFILES = pd.DataFrame(
    {
        "method": "ia3",
        "model": "small",
        "task": "deepsea.chromatin",
        "output": range(4),
        "name": ["K562 BRF1", "GM12878 CTCF", "HepG2 DNase", "H1 H3K4me3"],
        "group": ["TF", "TF", "DNase", "histone"],
        "metric": "auc",
        "score_mean": [None, 0.91, 0.84, 0.8],
        "score_sd": 0.01,
        "positives": [0, 9, 9, 9],
        "published": [None, 0.97, 0.93, None],
    }
)


def dots(figure):
    """Return {name: (published, own)} of a figure's dots, and the ends of its diagonal."""
    data = list(figure["datasets"].values())
    named = next(rows for rows in data if "name" in rows[0])
    ends = next(rows for rows in data if "name" not in rows[0])
    found = {row["name"]: (row["published"], row["score_mean"]) for row in named}
    return found, [(row["published"], row["score_mean"]) for row in ends]


def test_a_dot_is_each_profile_with_both_scores_about_the_diagonal():
    two = pd.concat([PROFILES, PROFILES.assign(model="other", score_mean=0.5)])
    first, second = published_outputs_figures(two, "")
    found, ends = dots(first)
    assert found == {"GM12878 CTCF": (0.97, 0.91), "HepG2 DNase": (0.93, 0.84)}
    assert all(x == y for x, y in ends)
    assert ends[0][0] < 0.84
    assert ends[1][0] > 0.97
    assert "small" in first["title"]["text"]
    assert dots(second)[0]["HepG2 DNase"] == (0.93, 0.5)


def test_outputs_without_published_scores_have_no_figure():
    assert published_outputs_figures(PROFILES.assign(published=None), "") == []


def test_undefined_profiles_are_named_once_for_a_task():
    groups = output_groups_table(pd.concat([PROFILES, PROFILES.assign(model="other")]))
    (line,) = undefined_outputs(groups)
    assert line.startswith("deepsea.chromatin: 1 of 4 have no score")
    assert line.endswith("K562 BRF1.")


def test_the_page_has_figure_means_medians_and_the_undefined_profile(run, tmp_path):
    tables = run.tables()
    tables["outputs"] = PROFILES
    tables["output_groups"] = output_groups_table(PROFILES)
    page, _ = show(tables, tmp_path)
    assert "outputs-0" in page
    assert "1 of 4 have no score, as their test rows are all alike: K562 BRF1." in page
    assert "0.850" in page  # the mean of the three that have a score
