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


def test_models_that_are_not_ours_have_rows_with_source_size_and_licence(run, tmp_path):
    for name in ("bert", "vectors"):
        run.models[name] = {"published_as": None, "untrained_of": None, "foreign": True}
        run.add_result("probe", name, "simulated.promoters", [0.8] * 3)
    run.models["bert"] |= {"source": "A/bert@main", "licence": "CC BY-NC-SA 4.0"}
    run.models["vectors"] |= {"source": None, "licence": "unknown", "embeddings_alone": True}
    run.embedders.append({"model": "bert", "layers": 12, "width": 768, "max_tokens": 512})
    tables = run.tables()
    models = facts_grids(tables)["models"]
    rows = {row[0]: dict(zip(models.headings, row, strict=True)) for row in models.rows}
    assert rows["small"]["size"] == "4 layers, 8 wide, 2 heads"
    assert (rows["bert"]["size"], rows["vectors"]["size"]) == ("12 layers, 768 wide", "–")
    assert rows["bert"]["kind"] == rows["vectors"]["kind"] == "not one of ours"
    assert rows["bert"]["training"] == "weights as given"
    assert rows["vectors"]["training"] == "embeddings as given"
    assert rows["bert"]["first weights"] == "A/bert@main"
    assert licence_notes(tables["models"]) == [
        "bert: weights CC BY-NC-SA 4.0: results made from them carry the licence (A/bert@main).",
        "vectors: weights of unknown licence: ask before results made from them are shared"
        " (embeddings as given).",
    ]
    text = plain_summary(tables, stages_table(tmp_path / "none", tables))
    assert "bert: weights CC BY-NC-SA 4.0" in text
    models = text[text.index("Models (losses") :].splitlines()
    shown = {row.split()[0]: row.split()[1:] for row in models if row}
    # Steps and tokens of their training are not known, which is not none.
    assert shown["bert"] == shown["vectors"] == ["–"] * 7
    own = tables["models"].set_index("model")
    assert own.loc["bert", "weights_sha256"] == "c" * 64
    written = tables["models"].to_csv(sep="\t", index=False).splitlines()
    assert [row.split("\t")[0] for row in written[-2:]] == ["bert", "vectors"]
    assert "\t4\t8\t2\t" in written[1]  # whole numbers as they were


def test_without_given_weights_there_is_no_column_of_licences(shared_tables):
    assert "licence of the weights" not in facts_grids(shared_tables)["models"].headings
    assert licence_notes(shared_tables["models"]) == []
