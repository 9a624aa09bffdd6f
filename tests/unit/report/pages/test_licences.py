"""Weights that were not made here: the report says whose they are, and under which licence."""

from dnalm.report.pages.facts import facts_grids, licence_notes
from dnalm.report.pages.plain_summary import plain_summary
from dnalm.report.tables.stages import stages_table


def test_each_licence_of_given_weights_is_one_sentence(run):
    names = {"big": ("A/big@main", "CC BY-NC-SA 4.0"), "tall": ("A/tall@v1", "CC BY-NC-SA 4.0")}
    for name, (source, licence) in (names | {"odd": ("here/odd", "unknown")}).items():
        run.add_model(name)
        run.models[name] |= {"source": source, "licence": licence}
    run.models["small"] |= {"source": None, "licence": "CC0"}  # our own, so nothing to carry
    assert licence_notes(run.tables()["models"]) == [
        "big, tall: weights CC BY-NC-SA 4.0: results made from them carry the licence"
        " (A/big@main, A/tall@v1).",
        "odd: weights of unknown licence: ask before results made from them are shared (here/odd).",
    ]


def test_the_table_of_models_shows_source_and_licence_instead_of_a_draw(run, tmp_path):
    run.add_model("big")
    run.models["big"] |= {"source": "A/big@main", "licence": "CC BY-NC-SA 4.0"}
    tables = run.tables()
    models = facts_grids(tables)["models"]
    rows = {row[0]: dict(zip(models.headings, row, strict=True)) for row in models.rows}
    assert rows["big"]["first weights"] == "A/big@main"
    assert rows["big"]["training"] == "weights as given"
    assert rows["big"]["licence of the weights"] == "CC BY-NC-SA 4.0"
    assert rows["small"]["first weights"] == "haiku"
    assert rows["small.untrained"]["training"] == "none: initial weights"
    text = plain_summary(tables, stages_table(tmp_path / "none", tables))
    assert text.index("results made from them carry the licence") < text.index("Models (losses")


def test_without_given_weights_there_is_no_column_of_licences(shared_tables):
    assert "licence of the weights" not in facts_grids(shared_tables)["models"].headings
    assert licence_notes(shared_tables["models"]) == []
