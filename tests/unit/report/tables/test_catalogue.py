"""The one list of tables against the tables that are made, their captions and their description."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from dnalm.report.tables import columns
from dnalm.report.tables.catalogue import (
    BENCHMARK,
    OF_VARIANTS,
    PRETRAINING,
    TABLES,
    describe,
    list_columns,
)
from dnalm.report.tables.columns import MEANINGS
from dnalm.report.tables.scores import list_metrics

ROOT = Path(__file__).parents[4]
CAPTIONS = ROOT / "resources" / "captions"
PAGES = {"report", "pretrain_summary", "interpretation", "variants", "workflow"}
SAMPLES = [("one", "GBR", "EUR", (10, 2, 3, 0))]
# What is empty in every row of the planted run: nothing was published, given or trained for it.
EMPTY = {
    "genomes": {"group", "accession"},
    "corpora": {"evaluated"},
    "groups": {"group"},
}


def test_the_tables_of_a_run_are_those_of_the_list_with_the_columns_described(run):
    run.add_panel("people", SAMPLES, ignored={"breakend": 4})
    tables = run.tables()
    assert list(tables) == [table.name for table in BENCHMARK]
    values = {"metric": list_metrics({"binary"}), "reason": ["breakend"]}
    for name, table in tables.items():
        assert list(table.columns) == list_columns(name, **values)


def test_every_column_described_holds_something_in_the_run(run):
    """A column that no function fills would be written, and described, for nothing."""
    run.add_panel("people", SAMPLES)
    plant_published(run)
    plant_outputs(run)
    for name, table in run.tables().items():
        assert len(table)
        empty = {column for column in table if (table[column].isna() | (table[column] == "")).all()}
        assert empty == EMPTY.get(name, set()), name


def plant_outputs(run):
    """Add a multilabel task whose labels have names, groups, published scores and one undefined."""
    flags = np.random.default_rng(5).integers(0, 2, (60, 3))
    flags[:, 2] = 0
    rows = {"train": 100, "test": 60}
    counts = {split: [n // 2] * 3 for split, n in rows.items()}
    task = {"rows_per_class": counts, "names": ["a", "b", "c"], "groups": ["x", "x", "y"]}
    task["published_outputs"] = {"auc": [0.9, 0.8, None]}
    run.add_task("simulated.marks", rows, kind="multilabel", classes=3, counts=task)
    outputs = [np.random.default_rng(fold).random((60, 3)) for fold in range(3)]
    run.add_outputs("ia3", "published", "simulated.marks", flags, outputs)


def plant_published(run):
    """Add two published models, one with a published mean, and a ranked baseline."""
    rows = {"train": 30000, "test": 776}
    run.add_task("revised.H3K4me3", rows, "revised.H3K4me3", rows, category="chromatin")
    run.add_model("published", "NT-v2-Multispecies-250M")
    run.models["published"] |= {"source": "a folder", "licence": "a licence"}
    grid = [{"feature": "k = 3", "penalty": 1.0, "validation_mcc_sd": 0.0}]
    for method, model, best in (("probe", "published", 0.5), ("baseline", "kmers", 0.4)):
        row = grid[0] | {"validation_mcc_mean": best}
        run.add_result(method, model, "revised.H3K4me3", [0.9] * 3, grid=[row])
    run.add_model("other", "NT-v2-Multispecies-500M")
    for model in ("published", "other"):
        run.add_result("ia3", model, "revised.H3K4me3", [0.9] * 3, losses=[0.7, 0.6])
    kept = run.folder / "revised.H3K4me3.safetensors"
    kept.touch()


def test_every_meaning_is_that_of_a_column_and_every_column_has_one():
    used = {
        f"{table.name}.{column}" if f"{table.name}.{column}" in MEANINGS else column
        for table in TABLES.values()
        for column in table.columns
    }
    assert used == set(MEANINGS)
    assert len(TABLES) == len(BENCHMARK) + len(PRETRAINING) + len(OF_VARIANTS)


def test_every_table_has_a_caption_and_every_caption_is_of_a_table_or_a_page():
    assert {path.stem for path in CAPTIONS.glob("*.rst")} == set(TABLES) | PAGES


def test_columns_of_one_placeholder_alternate_where_they_stand():
    columns = list_columns("summary", metric=["mcc", "f1"])
    at = columns.index("score_sd") + 1
    assert columns[at : at + 5] == ["mcc_mean", "mcc_sd", "f1_mean", "f1_sd", "low"]
    assert list_columns("panels", reason=["no call", "other"])[-4:] == [
        "haploid_calls",
        "missing_alleles",
        "ignored: no call",
        "ignored: other",
    ]


def test_the_description_has_a_row_for_every_column_of_every_table():
    captions = {name: (CAPTIONS / f"{name}.rst").read_text() for name in TABLES}
    text = describe(captions)
    assert text.count("### tables/") == len(TABLES)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(table.columns) for table in TABLES.values())
    assert all(row.count("|") == 4 for row in rows)
    assert "| `gc_strength` | 0 to 1 |" in text
    assert "``" not in text
    assert text.count("<mask>") == text.count("`<mask>`")


def test_reading_the_list_loads_nothing_heavy():
    code = (
        "import sys, dnalm.report.tables.catalogue; print({'pandas', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_a_column_is_described_in_one_place():
    parts = (columns.BENCHMARK, columns.DATA, columns.TRAINING, columns.PRIORITISATION)
    assert sorted(MEANINGS) == sorted(name for part in parts for name in part)
