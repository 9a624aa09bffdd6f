"""The chain on real data, cut down to a minute or two; skipped where no real data are at hand."""

import json

import pandas as pd
import pytest

RESULTS = "results/real-quick"
USED, HELD_OUT = "on contigs used for pretraining", "on contigs held out of pretraining"


@pytest.fixture(scope="module")
def real_run(make_workflow, data_folder):
    workflow = make_workflow()
    overlays = ("--configfile", "tests/real.yaml", "tests/real_quick.yaml")
    done = workflow.run(*overlays, "--config", f'pathvars={{"data": "{data_folder}"}}')
    assert done.returncode == 0, done.stdout
    return workflow.folder / RESULTS


def test_the_report_is_made_of_real_data_by_every_method(real_run):
    page = (real_run / "report.html").read_text().lower()
    assert "real, not simulated." in page
    # The page names it nowhere else, but in its configuration and the code that sorts tables.
    assert "simulated data" not in page
    summary = pd.read_csv(real_run / "tables/summary.tsv", sep="\t")
    assert set(summary["method"]) == {"probe", "ia3", "baseline"}
    assert set(summary["task"]) == {"gue.H3", "gue.promoter_tata"}
    assert len(summary) == 2 * (2 + 1 + 3)


def test_the_yeast_genome_is_stored_as_published(real_run):
    manifest = json.loads((real_run / "genomes/yeast/manifest.json").read_text())
    assert manifest["bases"] == 12_071_326
    assert manifest["contigs"] == 16
    assert manifest["n"] == 0


def test_published_rows_that_differ_are_said_to_differ(real_run):
    task = json.loads((real_run / "tasks/gue.H3.json").read_text())
    assert task["rows"] == {"train": 1497, "test": 1497}
    summary = pd.read_csv(real_run / "tables/summary.tsv", sep="\t")
    assert not summary["comparable"].fillna(False).any()


def test_h3_windows_lie_in_yeast_and_13_percent_overlap_a_training_window(real_run):
    found = pd.read_parquet(real_run / "locations/yeast-chr20/gue.H3.parquet")
    table = pd.read_parquet(real_run / "tasks/gue.H3.parquet")
    test = found[found["id"].isin(table.loc[table["split"] == "test", "id"])]
    assert test["genome"].value_counts().to_dict() == {"yeast": 1497}
    assert int(test["overlaps_train"].sum()) == 204  # 13.6 % of 1,497


def test_two_held_out_chromosomes_separate_what_the_model_has_seen(real_run):
    lift = pd.read_csv(real_run / "tables/lift.tsv", sep="\t")
    rows = lift[lift["task"] == "gue.H3"].groupby("region")["rows"].max()
    assert rows[USED] + rows[HELD_OUT] == 1497
    assert rows[HELD_OUT] > 150


def test_clinvars_variants_are_scored_with_intervals_and_what_is_skipped_is_told(real_run):
    scores = pd.read_csv(real_run / "tables/variant_scores.tsv", sep="\t")
    own = scores[(scores["entry"] == "clinvar") & (scores["subset"] == "all")]
    models = own[own["model"] != "external"]
    assert set(models["model"]) == {"v2-small", "v2-small.untrained"}
    # 22 pathogenic and 370 benign ones; distances are there for indels, too, other scores are not.
    cosine = models[models["score"] == "cosine"]
    assert (cosine["variants"] == 392).all()
    assert (cosine["positives"] == 22).all()
    assert (models[["auroc_low", "auroc"]].diff(axis=1)["auroc"] > 0).all()
    assert (models[["auroc", "auroc_high"]].diff(axis=1)["auroc_high"] > 0).all()
    skipped = pd.read_csv(real_run / "tables/variant_skipped.tsv", sep="\t")
    indels = skipped[(skipped["entry"] == "clinvar") & (skipped["reason"] == "indel")]
    missing = models.loc[models["score"] == "llr", "missing"]
    assert (indels["positives"] + indels["negatives"]).tolist() == missing.tolist()


def test_every_eqtl_of_gtex_has_a_common_variant_beside_it(real_run):
    labels = pd.read_parquet(real_run / "variant_benchmarks/gtex-chr20-matched/labels.parquet")
    assert labels["label"].value_counts().to_dict() == {True: 366, False: 366}
    places = labels.pivot(index="match_group", columns="label", values="pos")
    assert (places[True] - places[False]).abs().max() <= 100_000
