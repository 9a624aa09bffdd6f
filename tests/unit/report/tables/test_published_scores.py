from pathlib import Path

import pytest

from dnalm.errors import InputError
from dnalm.report.tables.verdicts.published_scores import (
    published_beside,
    read_published,
    task_values,
)

PATH = Path(__file__).parents[4] / "resources" / "published_scores.tsv"
H3 = {"train": 13468, "test": 1497}
NT_V2 = "NT-v2-Multispecies-500M"


@pytest.fixture(scope="module")
def published():
    return read_published(PATH)


def beside(published, **changes):
    asked = {
        "key": "original.H3",
        "method": "ia3",
        "model": NT_V2,
        "trained": True,
        "rows": H3,
        "published_rows": H3,
        "other": None,
    }
    return published_beside(published, **(asked | changes))


def test_the_published_model_on_the_published_rows_is_comparable(published):
    found = beside(published)
    assert found["published"] == 0.788
    assert found["published_sd"] == pytest.approx(0.010)
    assert found["published_data_set"] == "original"
    assert found["comparable"] is True
    assert found["reason"] == ""


def test_the_same_task_name_in_the_other_set_has_its_own_value(published):
    rows = {"train": 30000, "test": 776}
    asked = {"rows": rows, "published_rows": rows}
    revised = beside(published, key="revised.H3K4me3", **asked)
    original = beside(published, key="original.H3K4me3", **asked)
    assert (revised["published"], original["published"]) == (0.627, 0.437)


def test_a_value_only_in_the_figure_is_found_and_its_two_sd_bar_halved(published):
    found = beside(published, model="NT-1000G-500M")
    assert found["published"] == 0.74
    assert found["published_sd"] == pytest.approx(0.013)
    assert found["published_data_set"] == "original_figure"


def test_other_row_counts_make_a_value_not_comparable_in_words(published):
    found = beside(published, rows={"train": 1497, "test": 1497})
    assert found["published"] == 0.788
    assert found["comparable"] is False
    assert "other row counts" in found["reason"]


def test_unknown_published_row_counts_make_a_value_not_comparable(published):
    found = beside(published, published_rows=None)
    assert found["comparable"] is False
    assert "not known" in found["reason"]


def test_other_rows_of_the_same_number_are_not_comparable_in_words(published):
    found = beside(published, other="labels shuffled")
    assert found["published"] == 0.788
    assert (found["comparable"], found["reason"]) == (False, "labels shuffled")
    both = beside(published, other="rebuilt by our rules", published_rows=None)
    assert both["reason"] == "rebuilt by our rules; the published row counts are not known"


def test_a_model_of_our_own_gets_the_best_published_one_for_orientation(published):
    found = beside(published, model=None)
    assert (found["published"], found["published_model"]) == (0.793, "NT-Multispecies-2.5B")
    assert found["comparable"] is False
    assert "not a published model" in found["reason"]


def test_a_probe_has_no_published_value_of_its_model_and_is_never_comparable(published):
    found = beside(published, method="probe")
    assert found["published_method"] == "fine-tune IA3"
    assert found["comparable"] is False
    assert "no published value of this model with this method" in found["reason"]


def test_the_best_published_probe_is_preferred_for_a_probe(published):
    found = beside(published, key="original.enhancers_types", method="probe", model=None)
    assert (found["published"], found["published_method"]) == (0.424, "probing (best)")


def test_f1_and_accuracy_are_never_shown_beside_mcc(published):
    both = published[(published["task"] == "promoter_all") & (published["benchmark"] != "revised")]
    assert {"F1", "accuracy"} & set(both["metric"])
    assert set(task_values(published, "original.promoter_all")["metric"]) == {"MCC"}


@pytest.mark.parametrize(
    "changes", [{"key": "simulated.H3"}, {"key": "gue.H3"}, {"key": "H3"}, {"trained": False}]
)
def test_no_value_stands_beside_other_tasks_and_baselines(published, changes):
    found = beside(published, **changes)
    assert found["published"] != found["published"]
    assert found["comparable"] is False
    assert found["reason"]


def test_a_table_without_a_column_is_refused(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text("benchmark\ttask\n")
    with pytest.raises(InputError, match="column model is missing"):
        read_published(path)
