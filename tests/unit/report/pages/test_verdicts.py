"""What the page says first: means, the choice of each task, and the published values."""

import pytest
import yaml

from dnalm.report.pages.verdicts import (
    choices_grid,
    headline_sentences,
    prediction_lines,
    reproduction_grid,
    reproduction_sentences,
    rows_can_tell,
    tasks_without_prediction,
)


@pytest.fixture
def tables(run):
    """The planted run in which validation rows prefer IA3 on one task and k-mers on the other."""
    for task, kmers in (("simulated.promoters", -0.1), ("simulated.enhancers", 0.99)):
        row = {"feature": "k = 3", "penalty": 1.0, "validation_mcc_sd": 0.0}
        grid = [row | {"validation_mcc_mean": kmers}]
        run.add_result("baseline", "kmers", task, [0.8] * 3, grid=grid)
        run.results = [one for one in run.results if f"kmers-{task}" not in one["scores"]] + [
            run.results[-1]
        ]
    return run.tables()


def test_each_task_has_its_choice_with_its_margin_and_controls_have_none(tables):
    grid = choices_grid(tables["choices"], {"simulated.shuffled"})
    by_task = {row[0]: row for row in grid.rows}
    assert set(by_task) == {"simulated.promoters", "simulated.enhancers"}
    promoters, enhancers = by_task["simulated.promoters"], by_task["simulated.enhancers"]
    assert promoters[1].startswith("small · ")
    assert "over k-mer counts" in promoters[3]
    assert "pretraining read" in promoters[6]
    assert enhancers[1].startswith("k-mer counts")
    assert enhancers[3] == "it is the strongest baseline itself"


@pytest.fixture
def keep(run):
    """Return a function: the tables when the models of every result of a task are kept."""

    def make(task):
        (run.folder / f"{task}.safetensors").touch()
        return run.tables()

    return make


def test_the_entries_to_predict_with_are_yaml_and_name_the_choice(tables, keep):
    lines = prediction_lines(keep("simulated.promoters")["choices"], {"simulated.shuffled"})
    entries = yaml.safe_load("\n".join(lines))
    assert list(entries) == ["my_simulated_promoters"]
    entry = entries["my_simulated_promoters"]
    assert (entry["model"], entry["task"]) == ("small", "simulated.promoters")
    assert entry["method"] in ("probe", "ia3")


def test_no_entry_names_what_was_not_kept_or_a_model_of_embeddings_alone(tables, keep, run):
    controls, task = {"simulated.shuffled"}, "simulated.promoters"
    for choices in (tables["choices"], keep(task)["choices"]):
        kept = bool(choices.set_index("task")["file"][task])
        assert tasks_without_prediction(choices, controls) == ([] if kept else [task])
        assert len(prediction_lines(choices, controls)) == kept
    for key, lost in (("foreign", []), ("embeddings_alone", [task])):
        run.models["small"][key] = True
        run.runs = [one for one in run.runs if one["model"] != "small"]
        run.embedders = [{"model": "small"}] if key == "foreign" else []
        choices = run.tables()["choices"]
        assert tasks_without_prediction(choices, controls) == lost, key


def test_the_headline_names_the_first_and_the_next_of_every_set(tables):
    (sentence,) = headline_sentences(tables["headline"])
    means = tables["headline"].query("category == 'all tasks'").sort_values("rank")
    assert "Over the 2 tasks of simulated the best mean MCC" in sentence
    for score in means["score"].iloc[:2]:
        assert f"{score:.3f}" in sentence


def test_too_few_rows_are_named_with_what_they_cannot_tell(tables):
    choices = tables["choices"]
    choices["resolution"] = [0.2, 0.01, 0.3]
    (sentence,) = rows_can_tell(choices, {choices["task"].iloc[2]})
    assert choices["task"].iloc[0] in sentence
    assert "nor" not in sentence
    choices["resolution"] = [0.2, 0.3, 0.1]
    (sentence,) = rows_can_tell(choices, [])
    assert sentence.endswith("; nor can those of 2 other tasks.")
    (sentence,) = rows_can_tell(choices.iloc[:2], [])
    assert sentence.endswith("; nor can those of 1 other task.")
    assert rows_can_tell(choices.assign(resolution=0.01), []) == []


def test_published_values_of_the_run_are_counted_by_verdict(published_run):
    table = published_run.tables()["reproduction"]
    (sentence,) = reproduction_sentences(table)
    assert "Of the published values" in sentence
    assert len(reproduction_grid(table).rows) == len(table) > 0
    (nothing,) = reproduction_sentences(table[:0])
    assert "neither reproduces the paper nor contradicts it" in nothing


def test_a_value_that_is_not_comparable_is_grey_and_says_why(published_run):
    table = published_run.tables()["reproduction"]
    table["verdict"], table["reason"] = "not comparable", "other row counts"
    grid = reproduction_grid(table)
    assert grid.grey == frozenset(range(len(table)))
    assert all("other row counts" in row for row in grid.rows)
