"""Tables of single labels and targets: groups, undefined scores by name, published ones beside."""

from pathlib import Path

import pandas as pd
import pytest

from dnalm.benchmark.tasks.output_names import describe_columns
from dnalm.errors import InputError
from dnalm.report.tables.records import Record
from dnalm.report.tables.verdicts.outputs import output_groups_table, outputs_table

PROFILES = Path(__file__).parents[4] / "resources/deepsea_profiles.tsv"


def record_of(means, **summary):
    scores = {"auc": {"mean": means, "sd": [None] * len(means)}, "positives": [5] * len(means)}
    return Record(
        method="ia3",
        model="m",
        task="mine.x",
        scores=pd.DataFrame(),
        summary={"kind": "multilabel", "outputs": scores, **summary},
        predictions=Path(),
        history=None,
    )


def test_groups_have_means_and_medians_and_name_what_is_undefined():
    task = {
        "names": ["a", "b", "c", "d"],
        "groups": ["TF", "TF", "TF", "DNase"],
        "published_outputs": {"auc": [0.9, 0.8, None, 0.7]},
    }
    outputs = outputs_table([record_of([0.9, 0.6, None, 0.5])], {"mine.x": task})
    assert outputs["name"].tolist() == ["a", "b", "c", "d"]
    assert outputs["published"].tolist()[:2] == [0.9, 0.8]
    groups = output_groups_table(outputs).set_index("group")
    assert groups.loc["TF", ["outputs", "defined", "undefined"]].tolist() == [3, 2, "c"]
    assert groups.loc["TF", "score_mean"] == pytest.approx(0.75)
    assert groups.loc["all", "score_mean"] == pytest.approx(2 / 3)
    assert groups.loc["all", "score_median"] == pytest.approx(0.6)
    assert groups.loc["TF", "published_mean"] == pytest.approx(0.85)
    assert groups.loc["DNase", "undefined"] == ""


def test_results_without_scores_of_outputs_have_no_row():
    result = record_of([], outputs=None)
    outputs = outputs_table([result], {"mine.x": {}})
    assert outputs.empty
    assert output_groups_table(outputs).empty


def test_deepseas_own_scores_have_the_means_and_medians_of_its_article():
    """The mean over 918 defined profiles; what is often quoted as a mean are the medians."""
    found = describe_columns(str(PROFILES), 919, "deepsea.chromatin")
    assert len(set(found["names"])) == 919
    own = found["published_outputs"]["auc"]
    groups = output_groups_table(outputs_table([record_of(own)], {"mine.x": found})).set_index(
        "group"
    )
    expected = {
        "TF": (690, 689, 0.9478, 0.9577),
        "DNase": (125, 125, 0.9155, 0.9236),
        "histone": (104, 104, 0.8522, 0.8556),
        "all": (919, 918, 0.9326, 0.9445),
    }
    for group, (outputs, defined, mean, median) in expected.items():
        row = groups.loc[group]
        assert (row["outputs"], row["defined"]) == (outputs, defined)
        assert row["score_mean"] == row["published_mean"] == pytest.approx(mean, abs=5e-5)
        assert row["score_median"] == pytest.approx(median, abs=5e-5)
    assert groups.loc["TF", "undefined"] == "K562 BRF1"
    assert found["names"][598] == "K562 BRF1"
    assert [found["groups"].index(group) for group in ("DNase", "TF", "histone")] == [0, 125, 815]


def test_a_table_of_other_outputs_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(InputError, match=r"names 919 outputs, but task mine.x has 2"):
        describe_columns(str(PROFILES), 2, "mine.x")
    path = tmp_path / "names.tsv"
    path.write_text("name\na\na\n")
    with pytest.raises(InputError, match=r"row 2: the name 'a' is missing or stands there twice"):
        describe_columns(str(path), 2, "mine.x")
    path.write_text("name\tpublished_auc\na\thigh\nb\t0.9\n")
    with pytest.raises(InputError, match=r"published_auc"):
        describe_columns(str(path), 2, "mine.x")


HEADER = "name\tgroup\tpublished_auc\n"


def test_names_and_groups_are_read_as_they_stand(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text(f"# of whom\n{HEADER}H3#1\t#ff0000\t0.9\n# then\nNA\tNA\tNA\n")
    found = describe_columns(str(path), 2, "mine.x")
    assert found["names"] == ["H3#1", "NA"]
    assert found["groups"] == ["#ff0000", ""]
    assert found["published_outputs"] == {"auc": [0.9, None]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}a\tTF\t0.9\t\nb\tTF\t0.8\t\n", "line 2: 4 cells under a header of 3"),
        (f"{HEADER}a\tTF\nb\tTF\t0.8\n", "line 2: 2 cells under a header of 3"),
        (f'{HEADER}a\t"T\t0.9\nx\tT"\t0.9\nb\tTF\t0.8\n', "line 2: a quotation mark swallows"),
        (f"{HEADER}a\tTF\tinf\nb\tTF\t0.8\n", "row 1: the published_auc 'inf' is no number"),
        (f"{HEADER}a\tTF\tTrue\nb\tTF\t0.8\n", "row 1: the published_auc 'True' is no number"),
        (f"{HEADER} \tTF\t0.9\nb\tTF\t0.8\n", "row 1: the name '' is missing"),
        (HEADER.replace("group", "name") + "a\tb\t1\nc\td\t1\n", "has two columns name"),
        ("Name\tgroup\na\tb\nc\td\n", "has no column name, its columns are 'Name', 'group'"),
        ("# nothing else\n", "has no column name, its columns are none"),
    ],
)
def test_a_table_of_outputs_that_would_be_misread_is_refused(tmp_path, text, said):
    path = tmp_path / "names.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"names.tsv.*{said}"):
        describe_columns(str(path), 2, "mine.x")
