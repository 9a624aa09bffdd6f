import json

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.report.pages.findings import findings
from dnalm.report.pages.grids import MISSING, stages_grid, stages_sentence
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.records import read_results
from dnalm.report.tables.stages import stages_table


def row(table, **wanted):
    found = table
    for column, value in wanted.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_mean_and_sd_are_those_of_the_folds_with_n_minus_one(new_run):
    new_run.add_task("mine.x", {"train": 10, "test": 100})
    new_run.add_corpus()
    new_run.add_result("baseline", "kmers", "mine.x", [0.5])
    scores = pd.DataFrame(
        {"fold": [0, 1, 2], "mcc": [0.1, 0.2, 0.6], "accuracy": 0.5, "f1": 0.5, "auc": 0.5}
    )
    scores.to_csv(new_run.results[0]["scores"], sep="\t", index=False)
    tables = new_run.tables()
    found = tables["summary"].iloc[0]
    assert found["n"] == 3
    assert found["mcc_mean"] == pytest.approx(0.3)
    assert found["mcc_sd"] == pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert found["method"] == "baseline"
    assert (found["kind"], found["metric"]) == ("binary", "mcc")
    assert (found["score_mean"], found["score_sd"]) == (found["mcc_mean"], found["mcc_sd"])
    assert tables["scores"]["mcc"].tolist() == [0.1, 0.2, 0.6]


def test_published_values_are_joined_by_the_names_of_the_config(new_run):
    published = {"train": 13468, "test": 1497}
    new_run.add_corpus(simulated=False)
    new_run.add_task("mine.H3", published, published_as="original.H3", published=published)
    new_run.add_task("small.H3", {"train": 9, "test": 90}, "original.H3", published)
    new_run.add_model("big", published_as="NT-v2-Multispecies-500M")
    new_run.add_model("ours")
    for task in ("mine.H3", "small.H3"):
        for model in ("big", "ours"):
            new_run.add_result("ia3", model, task, [0.8, 0.8])
    summary = new_run.tables()["summary"]
    same = row(summary, task="mine.H3", model="big")
    assert (same["published"], bool(same["comparable"])) == (0.788, True)
    assert not row(summary, task="mine.H3", model="ours")["comparable"]
    fewer = row(summary, task="small.H3", model="big")
    assert fewer["published"] == 0.788
    assert "other row counts" in fewer["reason"]


def test_rebuilt_rows_and_shuffled_labels_are_never_comparable(new_run):
    rows = {"train": 13468, "test": 1497}
    new_run.add_corpus(simulated=False)
    new_run.add_model("big", published_as="NT-v2-Multispecies-500M")
    for name in ("mine.rebuilt", "mine.shuffled", "mine.both"):
        shuffled = name != "mine.rebuilt"
        new_run.add_task(name, rows, "original.H3", published=rows, shuffled=shuffled)
        new_run.add_result("ia3", "big", name, [0.8, 0.8])
    for name in ("mine.rebuilt", "mine.both"):
        new_run.tasks[name]["build"] = {"genome": "grch38", "recipe": "peaks"}
    summary = new_run.tables()["summary"].set_index("task")
    assert not summary["comparable"].any()
    assert summary["reason"].to_dict() == {
        "mine.rebuilt": "rebuilt by our rules",
        "mine.shuffled": "labels shuffled",
        "mine.both": "rebuilt by our rules; labels shuffled",
    }


def test_a_fine_tuning_method_is_published_under_its_adapter_whatever_its_name(new_run):
    rows = {"train": 13468, "test": 1497}
    new_run.add_task("mine.H3", rows, published_as="original.H3", published=rows)
    new_run.add_model("big", published_as="NT-v2-Multispecies-500M")
    new_run.methods = {"slow_vectors": "ia3"}
    for method in ("slow_vectors", "fine"):
        new_run.add_result(method, "big", "mine.H3", [0.8, 0.8])
    summary = new_run.tables()["summary"]
    same = row(summary, method="slow_vectors")
    assert (same["published"], bool(same["comparable"])) == (0.788, True)
    assert not row(summary, method="fine")["comparable"]


def test_layers_show_the_best_penalty_of_each_and_mark_the_chosen_one(shared_tables):
    layers = shared_tables["layers"]
    own = layers[(layers["model"] == "small") & (layers["task"] == "simulated.promoters")]
    assert own["layer"].tolist() == [1, 2, 3, 4]
    assert own["validation_score"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert set(own["metric"]) == {"mcc"}
    assert set(own["penalty"]) == {0.01}
    assert own["chosen"].tolist() == [False, True, False, False]
    made = "the mean over both strands, computed in bf16 and kept as float16"
    assert set(own["embeddings"]) == {made}


def test_comparisons_find_the_planted_gain_and_where_kmers_win(shared_tables):
    comparisons = shared_tables["comparisons"]
    gain = row(comparisons, method="probe", task="simulated.promoters", against="untrained")
    # Accuracies 0.9 and 0.7 of balanced classes are MCCs of 0.8 and 0.4.
    assert gain["low"] < 0.4 < gain["high"]
    assert gain["verdict"] == "better"
    kmers = row(comparisons, method="probe", task="simulated.enhancers", against="k-mers")
    assert kmers["verdict"] == "worse"
    assert kmers["reference"] == "kmers"
    assert "small.untrained" not in set(comparisons["model"])


def validated(score, loss=0.5):
    """The grid of a baseline with one candidate and this validation score."""
    row = {"feature": "all", "penalty": 1.0, "validation_mcc_mean": score}
    return [row | {"validation_mcc_sd": 0.0, "validation_loss": loss}]


def test_the_strongest_baseline_is_chosen_by_validation_scores_and_by_no_test_score(new_run):
    new_run.add_corpus()
    for task in ("own.a", "own.b"):
        new_run.add_task(task, {"train": 900, "test": 400})
    new_run.add_model("small")
    # (accuracy on test rows, score on validation rows)
    planted = {
        "own.a": {"kmers": (0.7, 0.3), "one_hot": (0.8, 0.5), "gc_content": (0.95, 0.2)},
        "own.b": {"kmers": (0.7, 0.5), "one_hot": (0.8, 0.4), "gc_content": (0.95, None)},
    }
    for task, baselines in planted.items():
        new_run.add_result("ia3", "small", task, [0.9, 0.9])
        for baseline, (accuracy, score) in baselines.items():
            grid = validated(score) if score is not None else validated(float("nan"))
            new_run.add_result("baseline", baseline, task, [accuracy] * 2, grid=grid)
    tables = new_run.tables()
    comparisons = tables["comparisons"]
    strongest = comparisons[comparisons["against"] == "strongest baseline"]
    assert dict(zip(strongest["task"], strongest["reference"], strict=True)) == {
        "own.a": "one_hot",
        "own.b": "kmers",
    }
    assert strongest["reference_score"].tolist() == pytest.approx([0.6, 0.4], abs=0.1)
    assert (strongest["verdict"] == "better").all()
    assert (comparisons["against"] == "k-mers").sum() == 2
    text = " ".join(findings(*(tables[n] for n in ("summary", "comparisons", "tasks", "models"))))
    assert "small · IA3 fine-tuning beat k-mer counts on 2 of 2 tasks (own.a and own.b)." in text
    assert "The strongest baseline by validation scores, k-mer counts (own.b MCC 0." in text
    assert "and one-hot bases (own.a MCC 0." in text
    assert "it beat on 2 of 2 tasks (own.a and own.b)" in text


def test_where_no_baseline_has_validation_scores_none_is_called_the_strongest(shared_tables):
    comparisons = shared_tables["comparisons"]
    assert "strongest baseline" not in set(comparisons["against"])
    tables = (shared_tables[n] for n in ("summary", "comparisons", "tasks", "models"))
    said = [text for text in findings(*tables) if "beat k-mer counts" in text]
    assert said
    assert all("No baseline has validation scores" in text for text in said)


def test_lift_is_given_for_each_region_with_its_rows(shared_tables):
    lift = shared_tables["lift"]
    assert set(lift["task"]) == {"simulated.promoters"}
    rows = dict(zip(lift["region"], lift["rows"], strict=True))
    assert rows == {
        "on contigs used for pretraining": 200,
        "on contigs held out of pretraining": 100,
        "found, but on no contig of a split": 20,
        "not found in the pretraining genomes": 80,
        "found, overlapping a training row": 40,
        "found, not overlapping a training row": 280,
    }
    assert (lift["low"] <= lift["lift"]).all()
    differences = lift["score"] - lift["untrained_score"]
    assert lift["lift"].tolist() == pytest.approx(differences.tolist())


def test_of_a_few_rows_no_lift_is_given(shared_run, monkeypatch):
    monkeypatch.setattr("dnalm.report.tables.comparisons.MIN_ROWS", 100)
    lift = shared_run.tables()["lift"]
    assert (lift["rows"] < 100).sum() == 3
    for name in ("score", "untrained_score", "lift", "low", "high"):
        assert (lift[name].isna() == (lift["rows"] < 100)).all()


def test_curves_keep_each_kind_of_position_apart_and_end_in_the_models_table(shared_tables):
    tables = shared_tables
    curves = tables["curves"]
    last = curves[(curves["step"] == 60) & (curves["positions"] == "mask")].set_index("split")
    assert last.loc["validation", "loss"] == pytest.approx(7.3 + 1.1 * np.exp(-3))
    assert last.loc["unigram", "loss"] == 7.9
    assert (curves[curves["positions"] == "kept"]["accuracy"] == 0.9).all()
    assert (curves["split"] == "validation").sum() == 6 * 2
    small = row(tables["models"], model="small")
    assert (small["steps"], small["training_tokens"], small["unigram_loss"]) == (60, 60_000, 7.9)
    assert small["validation_loss"] == pytest.approx(last.loc["validation", "loss"])
    assert (curves["split"] == "test").sum() == 2
    assert (small["test_loss"], small["test_accuracy"]) == (last.loc["test", "loss"], 0.013)
    assert small["test_loss"] == pytest.approx(7.4 + 1.1 * np.exp(-3))
    assert row(tables["models"], model="small.untrained")["steps"] == 0


def test_tasks_and_corpora_hold_counts_hashes_and_held_out_contigs(shared_tables):
    tables = shared_tables
    task = row(tables["tasks"], task="simulated.promoters")
    assert (task["train_rows"], task["test_rows"], task["duplicates_across"]) == (900, 400, 2)
    assert task["sha256"] == "b" * 64
    assert (task["test_rows_located"], task["train_rows_located"]) == (320, 300)
    assert (task["test_rows_overlapping"], task["train_rows_overlapping_fold"]) == (40, 30)
    other = row(tables["tasks"], task="simulated.enhancers")
    assert pd.isna(other["test_rows_located"])
    assert pd.isna(other["test_rows_overlapping"])
    assert (task["pooling"], other["pooling"]) == ("mean", "centre")
    assert row(tables["corpora"], split="test")["held_out"] == "chr3"


def test_tables_survive_writing_and_reading(shared_tables, tmp_path):
    tables = shared_tables
    paths = {name: str(tmp_path / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    read = read_tables(paths)
    for name, table in tables.items():
        assert list(read[name].columns) == list(table.columns)
        assert len(read[name]) == len(table)
    assert read["summary"]["mcc_mean"].tolist() == pytest.approx(
        tables["summary"]["mcc_mean"].tolist()
    )
    with pytest.raises(InputError, match="no table wrong"):
        write_tables(tables, {"wrong": str(tmp_path / "wrong.tsv")})
    with pytest.raises(InputError, match="no table sumary; did you mean 'summary'"):
        write_tables(tables, {"sumary": str(tmp_path / "wrong.tsv")})


def test_the_same_result_twice_is_refused(new_run):
    new_run.add_task("mine.x", {"train": 10, "test": 100})
    new_run.add_result("baseline", "kmers", "mine.x", [0.5])
    with pytest.raises(InputError, match="already given"):
        read_results(new_run.results * 2, new_run.identities())


def write_benchmark(folder, name, seconds, memory="NA", cores="NA"):
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"s": seconds, "max_rss": memory, "cpu_time": cores}) + "\n")


def test_stages_sum_the_jobs_of_each_folder(shared_tables, tmp_path):
    write_benchmark(tmp_path, "embed_task/small/simulated.promoters", 10, 20, cores=19)
    write_benchmark(tmp_path, "embed_task/small/simulated.enhancers", 30, 60, cores=50)
    write_benchmark(tmp_path, "pretrain/small", 100.5)
    stages = stages_table(tmp_path, shared_tables)
    assert stages["stage"].tolist() == ["pretrain", "embed_task"]
    assert stages["seconds"].tolist() == [100.5, 40]
    assert stages["jobs"].tolist() == [1, 2]
    assert stages["peak_memory_mb"].tolist()[1] == 60
    assert stages["processor_seconds"].tolist()[1] == 69
    assert np.isnan(stages["processor_seconds"][0])


def test_gpu_time_is_that_of_jobs_times_their_gpus_and_unknown_where_one_does_not_say(
    shared_tables, tmp_path
):
    jobs = {
        "embed_task/small/simulated.promoters": 2,
        "embed_task/small/simulated.enhancers": 1,
        "embed_task/small.untrained/simulated.promoters": 0,
        "pretrain/small": 16,
        "make_task/simulated.enhancers": 0,
        "make_task/simulated.promoters": None,
    }
    for seconds, (name, gpus) in enumerate(jobs.items(), start=1):
        write_benchmark(tmp_path / "benchmarks", name, seconds)
        if gpus is not None:
            use = tmp_path / "logs" / f"{name}.devices.json"
            use.parent.mkdir(parents=True, exist_ok=True)
            use.write_text(json.dumps({"gpus": gpus, "names": []}))
    stages = stages_table(tmp_path / "benchmarks", shared_tables, tmp_path / "logs")
    found = stages.set_index("stage")["gpu_seconds"]
    assert found[["embed_task", "pretrain"]].to_dict() == {"embed_task": 4, "pretrain": 64}
    assert np.isnan(found["make_task"])
    assert stages_sentence(stages).endswith(
        "68.0 s of GPUs, without 1 of 3 stages, of which it is not recorded."
    )
    times = stages_grid(stages)
    place = times.headings.index("GPU time")
    assert {row[0]: row[place] for row in times.rows} == {
        "embed task": "4.0 s",
        "pretrain": "64.0 s",
        "make task": MISSING,
    }
    on_cpu = stages_grid(stages.assign(gpu_seconds=0.0))
    assert {row[place] for row in on_cpu.rows} == {"0"}


def test_what_a_job_took_before_it_was_stopped_counts(shared_tables, tmp_path):
    """Twice put back into the queue after an hour of 16 GPUs, and one minute more on 8."""
    write_benchmark(tmp_path / "benchmarks", "pretrain/small", 60)
    use = tmp_path / "logs/pretrain/small.devices.json"
    use.parent.mkdir(parents=True)
    part = {"seconds": 3600.0, "gpus": 16}
    use.write_text(
        json.dumps({"ended": True, "seconds": 58.0, "gpus": 8, "names": [], "earlier": [part] * 2})
    )
    (row,) = stages_table(tmp_path / "benchmarks", shared_tables, tmp_path / "logs").to_dict(
        "records"
    )
    assert row["seconds"] == row["largest_job_seconds"] == 7260
    assert row["gpu_seconds"] == 2 * 3600 * 16 + 60 * 8


def test_jobs_of_another_run_in_the_same_folder_take_no_time_of_this_one(shared_tables, tmp_path):
    own = ["embed_task/small.untrained/simulated.promoters", "make_task/simulated.enhancers"]
    own += ["finetune_task/ia3/small/simulated.promoters", "locate_task/toy/simulated.promoters"]
    own += ["score_baselines/simulated.promoters", "download_file/host/genome.fa.gz"]
    own += ["make_tables"]
    others = ["embed_task/small/other.task", "embed_task/big/simulated.promoters"]
    others += ["pretrain/big", "finetune_task/full/small/simulated.promoters"]
    others += ["score_baselines/other.task", "locate_task/human/simulated.promoters"]
    others += ["build_corpus/human", "make_task/other.task"]
    for name in own:
        write_benchmark(tmp_path, name, 1)
    for name in others:
        write_benchmark(tmp_path, name, 1000)
    stages = stages_table(tmp_path, shared_tables)
    assert set(stages["stage"]) == {name.partition("/")[0] for name in own}
    assert set(stages["seconds"]) == {1}
