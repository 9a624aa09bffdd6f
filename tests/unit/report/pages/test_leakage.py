import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.report.job_records import RuleGraph
from dnalm.report.method_names import add_labels
from dnalm.report.pages.benchmark import ReportConfig, make_page
from dnalm.report.pages.leakage import add_marks, clean_grid, mark, search_notes
from dnalm.report.pages.plain_summary import plain_summary
from dnalm.report.provenance import Provenance
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.stages import stages_table

NO_RECORDS = RuleGraph(reads={}, jobs={})
MADE = Provenance(
    facts=[("dnalm", "0.0")], configuration="a: 1", methods="M", citations="C", rules=NO_RECORDS
)

TASK = "simulated.promoters"
BOOTSTRAP = BootstrapConfig(draws=200, seed=1, level=0.95)


def row(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def clean_scores(run, task, leaking):
    """Return {(method, model): MCC over folds on the rows that do not leak} by scikit-learn."""
    scores = {}
    for path in (files["predictions"] for files in run.results):
        if not path.endswith(f"-{task}.parquet"):
            continue
        table = pd.read_parquet(path)
        table = table[~table["id"].isin(leaking)]
        folds = [matthews_corrcoef(f["label"], f["prediction"]) for _, f in table.groupby("fold")]
        method, model = path.rpartition("/")[2].removesuffix(f"-{task}.parquet").split("-")
        scores[method, model] = np.mean(folds)
    return scores


def test_clean_scores_are_those_of_the_rows_that_do_not_leak(run):
    relations = ["identical"] * 30 + ["near"] * 20 + ["overlap"] * 50
    run.add_audit(TASK, relations)
    summary = run.tables()["summary"]
    own = summary[summary["task"] == TASK]
    assert set(own["clean_rows"]) == {300}
    assert own["leaking_share"].tolist() == pytest.approx([0.25] * len(own))
    expected = clean_scores(run, TASK, [f"test.{i}" for i in range(100)])
    for key, value in expected.items():
        found = row(own, method=key[0], model=key[1])
        assert found["clean_score"] == pytest.approx(value, abs=1e-6)
        assert found["clean_low"] < found["clean_score"] < found["clean_high"]
        assert found["low"] < found["score_mean"] < found["high"]
    other = summary[summary["task"] == "simulated.enhancers"]
    assert (other["clean_rows"] == other["rows"]).all()
    assert other["clean_score"].tolist() == pytest.approx(other["score_mean"].tolist(), abs=1e-6)


@pytest.mark.parametrize(("leak", "clean"), [("overlap", 300), ("near", 350), ("identical", 370)])
def test_what_counts_as_leaking_is_a_choice(run, leak, clean):
    run.add_audit(TASK, ["identical"] * 30 + ["near"] * 20 + ["overlap"] * 50)
    statistics = Statistics(bootstrap=BOOTSTRAP, correction="none", leak=leak, equal=0.02)
    summary = run.tables(statistics)["summary"]
    assert set(summary.loc[summary["task"] == TASK, "clean_rows"]) == {clean}


def test_a_task_of_which_all_test_rows_leak_has_no_clean_score(run):
    run.add_audit(TASK, ["near"] * 400)
    summary = run.tables()["summary"]
    own = summary[summary["task"] == TASK]
    assert set(own["clean_rows"]) == {0}
    assert own["clean_score"].isna().all()
    grid = clean_grid(add_labels(summary))
    assert {cells[0] for cells in grid.rows} == {TASK}
    assert all(cells[5:] == ["0", "–", "–", "–"] for cells in grid.rows)


def test_scores_are_marked_by_the_share_of_leaking_rows():
    assert [mark(share) for share in (0, 0.009, 0.01, 0.099, 0.1, 1)] == ["", "", *"††‡‡"]
    summary = pd.DataFrame({"task": ["a.a", "b.b"], "leaking_share": [0.5, 0.0]})
    other = pd.DataFrame({"task": ["b.b", "a.a", "c.c"]})
    assert add_marks(other, summary)["mark"].tolist() == ["", "‡", ""]


def test_the_audits_table_holds_counts_strengths_and_contigs(run):
    contigs = {"placed": {"train": 900, "test": 400}, "shared": ["chr1"], "test_rows_shared": 40}
    run.add_audit("simulated.enhancers", ["near"] * 7, contigs=contigs, other_labels=5)
    tables = run.tables()
    own = row(tables["audits"], task="simulated.enhancers")
    assert (own["test_in_train_near"], own["other_labels"]) == (7, 5)
    assert (own["train_in_other_folds_near"], own["within_train_identical"]) == (9, 18)
    strengths = [own[f"{what}_strength"] for what in ("gc", "length", "strand")]
    assert strengths == [0.25, 0.125, 0.5]
    assert (own["contigs_from"], own["shared_contigs"], own["test_rows_shared"]) == (
        "the task",
        1,
        40,
    )
    # Where rows do not say where they were cut, those that were found in a genome do.
    located = row(tables["audits"], task=TASK)
    assert (located["contigs_from"], located["train_placed"], located["test_placed"]) == (
        "toy",
        300,
        320,
    )
    assert (located["shared_contigs"], located["test_rows_shared"]) == (1, 320)
    assert row(tables["audits"], task="simulated.shuffled")["contigs_from"] == ""


def test_exposure_says_where_test_rows_lie_for_the_models_of_a_corpus(run):
    found = row(run.tables()["exposure"], task=TASK)
    assert (found["corpus"], found["models"], found["rows"]) == ("toy", "small", 400)
    parts = found[["on_used", "on_held_out", "on_neither", "nowhere"]]
    assert parts.tolist() == [200, 100, 20, 80]


def test_comparisons_are_corrected_among_those_of_one_sort(run):
    corrected = run.tables()["comparisons"]
    plain = run.tables(
        Statistics(bootstrap=BOOTSTRAP, correction="none", leak="overlap", equal=0.02)
    )["comparisons"]
    assert plain["p_adjusted"].tolist() == plain["p_value"].tolist()
    for against, own in corrected.groupby("against"):
        smallest = own["p_value"].min()
        first = own.loc[own["p_value"].idxmin(), "p_adjusted"]
        assert first == pytest.approx(min(1, smallest * len(own))), against
    others = corrected[corrected["against"] == "another"]
    # Two methods of one model on three tasks.
    assert sorted(others["task"]) == ["simulated.enhancers", TASK, "simulated.shuffled"]
    assert set(others["reference_method"]) | set(others["method"]) == {"probe", "ia3"}


def page_and_text(run, folder):
    """Return the page and the summary that are made of the run's tables, written and read back."""
    tables = run.tables()
    paths = {name: str(folder / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    tables = read_tables(paths)
    stages = stages_table(folder / "none", tables)
    config = ReportConfig(
        title="x",
        statistic="mean_2sd",
        bootstrap={"draws": 200, "seed": 1, "level": 0.95},
        correction="holm",
        equal=0.02,
        leak="overlap",
    )
    return make_page(tables, stages, config, MADE, []), plain_summary(tables, stages)


def test_what_the_search_could_not_see_is_said_on_the_page(run, tmp_path):
    run.add_audit(TASK, repeats=1200)
    run.add_audit("simulated.enhancers", too_short=7, repeats=3)
    audits = run.tables()["audits"]
    short, repeats = search_notes(audits)
    assert "compared well: 7 in simulated.enhancers. Identical" in short
    assert f": 3 in simulated.enhancers, 1,200 in {TASK}. Of a large family" in repeats
    assert search_notes(audits.assign(repeats_not_followed=0, too_short=pd.NA)) == []
    page, _ = page_and_text(run, tmp_path)
    assert "7 in simulated.enhancers." in page
    assert f"1,200 in {TASK}." in page


def test_the_page_marks_scores_of_leaking_tasks_and_shows_the_clean_ones(run, tmp_path):
    run.add_audit(TASK, ["identical"] * 30 + ["overlap"] * 50)
    run.add_audit("simulated.enhancers", ["near"] * 5)
    page, text = page_and_text(run, tmp_path)
    summary = run.tables()["summary"]
    for entry in summary.to_dict("records"):
        cell = f"{entry['score_mean']:.3f} ± {2 * entry['score_sd']:.3f}".replace("-", "−")
        sign = {TASK: " ‡", "simulated.enhancers": " †"}.get(entry["task"], "")
        assert f">{cell}{sign}</td>" in page
        if sign:
            for column in ("clean_score", "clean_low", "clean_high"):
                assert f"{entry[column]:.3f}".replace("-", "−") in page
                assert f"{entry[column]:.3f}".replace("-", "−") in text
    sentence = (
        "On 2 of 3 tasks 1 % or more of the test rows resemble training rows "
        "(up to 20 % on simulated.promoters); without these rows scores change by"
    )
    assert sentence in page
    changes = summary["clean_score"] - summary["score_mean"]
    assert f"{changes.min():+.3f} to {changes.max():+.3f}.".replace("-", "−") in page
