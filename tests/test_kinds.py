"""Tasks of several labels, of numbers and of bases through the whole chain, by the real rules."""

import random

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pybigtools
import pytest
import random_transformers

from dnalm.benchmark.tasks.kinds import find_kind

KINDS = ("--configfile", "tests/config.yaml", "tests/tiny.yaml", "tests/kinds.yaml")
RESULTS = "results/tiny"
TASKS = {"strengths": "regression", "marks": "multilabel", "sites": "per_base"}
ROWS = {"train": 240, "test": 60}
SPLITS = 3


def plant(folder):
    """Write the three tasks: random DNA, about which the labels say what is in it."""
    draw = random.Random(5)
    folder.mkdir()
    for split, rows in ROWS.items():
        sequences = []
        for _ in range(rows):
            weights = [draw.random() + 0.1 for _ in "ACGT"]
            sequences.append("".join(draw.choices("ACGT", weights, k=draw.randrange(50, 80))))
        table = pd.DataFrame({"sequence": sequences})
        share = {
            base: table["sequence"].str.count(base) / table["sequence"].str.len() for base in "ACGT"
        }
        cg = share["C"] + share["G"]
        numbers = table.assign(cg=1000 + 50 * cg, a=share["A"])
        numbers.to_csv(folder / f"strengths.{split}.csv", index=False)
        marks = [cg, share["A"] + share["G"], share["A"] + share["C"]]
        flags = pd.concat(marks, axis=1).gt(0.5).astype(int).astype(str).agg(" ".join, axis=1)
        table.assign(label=flags).to_csv(folder / f"marks.{split}.tsv", sep="\t", index=False)
        bases = [[int(base == "G") for base in sequence] for sequence in sequences]
        table.assign(label=bases).to_parquet(folder / f"sites.{split}.parquet")
    (folder / "intervals.bed").write_text("one\t100\t160\tx\t0\t+\none\t150\t200\ty\t0\t-\n")


@pytest.fixture(scope="module")
def planned(make_workflow, tiny_run):
    """A copy of the workflow with the files of the three tasks, and a model of another run."""
    workflow = make_workflow()
    tiny_run.give(workflow, "simulated", "genomes", "corpora", "models")
    plant(workflow.folder / "planted")
    return workflow


@pytest.fixture(scope="module")
def finished(planned):
    """The same after its run to the report."""
    done = planned.run(*KINDS)
    assert done.returncode == 0, done.stdout
    return planned


def test_tasks_of_bases_are_fine_tuned_beside_baselines_of_bases_and_not_probed(planned):
    plan = planned.plan(*KINDS)
    assert (plan["embed_task"], plan["probe_task"], plan["score_baselines"]) == (2, 2, 2)
    assert plan["score_bases"] == 1  # class shares and position weights
    assert (plan["make_task"], plan["finetune_task"]) == (3, 3)
    assert planned.plan("embeddings", *KINDS)["embed_task"] == 2
    assert planned.plan("probes", *KINDS)["probe_task"] == 2


def test_models_that_are_not_ours_are_fine_tuned_on_bases_unless_they_are_left_out(planned):
    random_transformers.save_model("modernbert", planned.folder / "foreign")
    change, before = planned.folder / "foreign.yaml", planned.plan("finetunes", *KINDS)
    for tuned, more in (("true", len(TASKS)), ("false", 0)):
        change.write_text(
            "run: {models: [tiny, theirs]}\nmodels:\n"
            f"  theirs: {{embedder: {{transformers: foreign, finetune: {tuned}}}, licence: mit}}\n"
        )
        plan = planned.plan("finetunes", *KINDS, str(change))
        assert plan["finetune_task"] == before["finetune_task"] + more


def test_a_run_that_scores_no_base_stops_before_any_job(planned):
    change = planned.folder / "probe.yaml"
    change.write_text("run: {methods: [probe]}")
    done = planned.run("--dry-run", *KINDS, str(change))
    assert done.returncode != 0
    assert "probe cannot score the per-base task 'planted.sites'" in done.stdout


@pytest.mark.parametrize(("task", "kind"), TASKS.items())
def test_every_kind_is_scored_by_its_metrics_and_learned(finished, task, kind):
    folder = finished.folder / RESULTS / "finetunes/ia3/tiny" / f"planted.{task}"
    scores = pd.read_csv(folder / "scores.tsv", sep="\t")
    assert scores.columns.tolist() == ["fold", *find_kind(kind).metrics]
    assert len(scores) == SPLITS
    # Guessing scores 0, 0.5 and 0.25.
    least = {"regression": 0.3, "multilabel": 0.65, "per_base": 0.45}[kind]
    assert scores[find_kind(kind).headline].min() > least
    history = pd.read_csv(folder / "history.tsv", sep="\t")
    assert history.columns[-1] == f"validation_{find_kind(kind).headline}"
    predictions = pq.read_table(folder / "predictions.parquet").to_pandas()
    assert len(predictions) == SPLITS * ROWS["test"]
    assert predictions["prediction"].map(len).tolist() == predictions["label"].map(len).tolist()


@pytest.mark.parametrize("method", ["probes/tiny", "mlp_probes/tiny", "baselines/kmers"])
def test_probes_and_baselines_score_several_labels_and_numbers(finished, method):
    # Counts of bases are what the labels are made of; embeddings are of a hardly trained model.
    least = {"regression": 0.2, "multilabel": 0.6} if "tiny" in method else {}
    for task in ("strengths", "marks"):
        kind = TASKS[task]
        path = finished.folder / RESULTS / method / f"planted.{task}.tsv"
        scores = pd.read_csv(path, sep="\t")
        assert scores.columns.tolist() == ["fold", *find_kind(kind).metrics]
        assert scores[find_kind(kind).headline].mean() > least.get(kind, 0.9)


def test_a_score_of_bases_stands_beside_a_constant_and_position_weights(finished):
    folder = finished.folder / RESULTS
    summary = pd.read_csv(folder / "tables/summary.tsv", sep="\t")
    sites = summary[summary["task"] == "planted.sites"].set_index("model")["score_mean"]
    assert set(sites.index) == {"tiny", "majority", "position_weights"}
    assert sites["position_weights"] == 1.0  # each G is labelled
    assert 0.1 < sites["majority"] < 0.4
    comparisons = pd.read_csv(folder / "tables/comparisons.tsv", sep="\t")
    own = comparisons[comparisons["task"] == "planted.sites"].set_index("against")
    assert own.loc["strongest baseline", "reference"] == "position_weights"


def test_labels_and_bases_of_other_sequences_are_predicted(finished):
    folder = finished.folder / RESULTS / "predictions"
    marks = pd.read_csv(folder / "marks.tsv", sep="\t")
    assert marks["id"].tolist() == list(range(1, ROWS["test"] + 1))
    probabilities = marks[[f"probability.{label}" for label in range(3)]]
    assert probabilities.stack().between(0, 1).all()
    flags = marks[[f"predicted.{label}" for label in range(3)]]
    assert ((probabilities.to_numpy() > 0.5) == flags.to_numpy()).all()
    # Rows of the task itself are predicted as fine-tuning predicted its test rows.
    tuned = finished.folder / RESULTS / "finetunes/ia3/tiny/planted.sites/predictions.parquet"
    wanted = pd.read_parquet(tuned).groupby("id", sort=False)["probability.1"].agg(list)
    sites = pd.read_parquet(folder / "sites.parquet")
    for mean, folds in zip(sites["probability.1"], wanted, strict=True):
        np.testing.assert_allclose(mean, np.mean(folds, axis=0), atol=1e-5)


def test_a_track_of_a_genome_is_read_by_another_program(finished):
    folder = finished.folder / RESULTS / "predictions"
    table = pd.read_parquet(folder / "along.parquet")
    assert table[["contig", "start", "end"]].to_numpy().tolist() == [
        ["one", 100, 160],
        ["one", 150, 200],
    ]
    with pybigtools.open(str(folder / "along.tracks" / "1.bw")) as file:
        track = file.values("one", 90, 210, fillna=np.nan)
    first, second = table["probability.1"]
    np.testing.assert_allclose(track[10:60], first[:50], atol=2e-5)
    np.testing.assert_allclose(track[70:110], second[::-1][10:], atol=2e-5)
    np.testing.assert_allclose(track[60:70], (first[50:] + second[::-1][:10]) / 2, atol=2e-5)
    assert np.isnan(track[:10]).all()
    assert np.isnan(track[110:]).all()


def test_the_tables_and_the_page_hold_all_three(finished):
    folder = finished.folder / RESULTS
    summary = (
        pd.read_csv(folder / "tables/summary.tsv", sep="\t")
        .set_index(["task", "method"])
        .sort_index()
    )
    for task, kind in TASKS.items():
        row = summary.loc[(f"planted.{task}", "ia3")]
        assert (row["kind"], row["metric"]) == (kind, find_kind(kind).headline)
        assert row["score_mean"] == row[f"{row['metric']}_mean"]
    page = (folder / "report.html").read_text()
    for words in ("Mean Pearson r on test rows", "Mean AUC on test rows", "Top-k accuracy on test"):
        assert words in page
    assert "planted.sites" in (folder / "summary.txt").read_text()
