"""The tables and the page on pretraining, from histories written by hand."""

import json

import pandas as pd
import pytest

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.report.pages.pretraining import accuracy_grid, groups_grid, make_pretraining_page
from dnalm.report.tables.catalogue import PRETRAINING
from dnalm.report.tables.pretraining import last_measured, pretraining_tables
from dnalm.report.tables.records import Identities
from dnalm.report.tables.verdicts.published_scores import read_reconstruction

GROUPS = {"coli": "Bacteria", "subtilis": "Bacteria", "yeast": "Fungi"}
PRETRAIN = {"masking": {"selected": 0.4}}
BOOTSTRAP = BootstrapConfig(draws=100, seed=1, level=0.95)
MFU = {"value": 0.5, "denominator": "2 × H200 bf16, 989 TFLOP/s each"}


def genome(windows, tokens, loss, accuracy):
    row = {"windows": windows, "tokens": tokens, "loss": loss, "accuracy": accuracy}
    return row | {"unigram_loss": 8.0, "unigram_accuracy": 0.001}


def measured(step, loss, genomes, split="validation"):
    row = {"loss_mask": loss, "accuracy_mask": 0.25, "unigram_loss": 8.0, "unigram_accuracy": 0.125}
    row |= {"window_accuracy": 0.2, "window_perplexity": 55.0, "genomes": genomes}
    row |= {"unigram_window_accuracy": 0.0, "unigram_window_perplexity": 2980.0}
    row = {f"{split}_{key}": value for key, value in row.items()}
    return {"step": step, "tokens": step * 100, **row}


def logged(step, speed, wait, mfu=None, **others):
    row = {"step": step, "tokens": step * 100, "tokens_per_second": speed, "mfu": mfu}
    row |= {"lr": 1e-3, "gradient_norm": 1.5, "data_wait_share": wait, "skipped_steps": 0}
    return row | {"peak_memory_bytes": 10 * step, "thin_windows": step} | others


HISTORY = [
    measured(0, 8.4, {"coli": genome(2, 20, 8.4, 0.0), "yeast": genome(1, 10, 8.4, 0.0)}),
    logged(10, 100.0, 0.5, MFU, processes=2, device="H200"),
    logged(20, 1000.0, 0.0, MFU, processes=4, device="H200"),
    measured(
        20,
        7.0,
        {
            "coli": genome(2, 20, 7.0, 0.2),
            "subtilis": genome(1, 60, 6.0, 0.4),
            "yeast": genome(1, 10, 7.5, 0.1),
            "unknown": genome(1, 10, 8.0, 0.0),
        },
    ),
]


@pytest.fixture
def make_tables(tmp_path):
    def make(published=None, **histories):
        runs, paths = {}, {}
        for model, rows in histories.items():
            path = tmp_path / f"{model}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            runs[model] = {"model": model, "corpus": "all", "pretrain": PRETRAIN}
            paths[model] = str(path)
        corpus = {"name": "all", "splits": {"train": {"tokens": 500}}}
        models = {model: {"published_as": "NT", "untrained_of": None} for model in histories}
        names = dict.fromkeys(("baselines", "genomes", "corpora", "panels"), ())
        names |= {key: {} for key in ("tasks", "methods", "species")}
        identities = Identities(models=models, groups=GROUPS, **names)
        published = published or {}
        return pretraining_tables(runs, paths, {"all": corpus}, published, identities, BOOTSTRAP)

    return make


def test_groups_are_means_over_the_masked_tokens_of_their_genomes(make_tables):
    ends = last_measured(make_tables(one=HISTORY)["held_out"]).set_index("group")
    assert list(ends.index) == ["", "(no group)", "Bacteria", "Fungi"]
    bacteria = ends.loc["Bacteria"]
    assert (bacteria["genomes"], bacteria["windows"], bacteria["masked"]) == (2, 3, 80)
    assert bacteria["loss"] == pytest.approx((20 * 7.0 + 60 * 6.0) / 80)
    assert bacteria["accuracy"] == pytest.approx((20 * 0.2 + 60 * 0.4) / 80)
    assert ends.loc["", ["loss", "masked", "window_perplexity"]].tolist() == [7.0, 100, 55.0]
    assert groups_grid(ends.reset_index()).rows[1][-3:] == ["+1.750", "35.00%", "0.10%"]


def test_speed_is_tokens_by_time_and_device_time_counts_every_process(make_tables):
    training = make_tables(one=HISTORY)["training"].iloc[0]
    # 1,000 tokens in 10 s by two processes, then 1,000 in 1 s by four.
    assert training["tokens_per_second"] == pytest.approx(2000 / 11)
    assert training["device_hours"] == pytest.approx((10 * 2 + 1 * 4) / 3600)
    assert training["data_wait_share"] == pytest.approx(0.5 * 10 / 11)
    assert (training["steps"], training["tokens"], training["epochs"]) == (20, 2000, 4.0)
    assert (training["peak_memory_bytes"], training["thin_windows"]) == (200, 20)
    assert (training["mfu"], training["mfu_denominator"]) == (0.5, MFU["denominator"])


def test_the_published_accuracy_stands_beside_ours(make_tables, tmp_path):
    path = tmp_path / "published.tsv"
    columns = ["benchmark", "task", "model", "method", "metric", "value"]
    columns += ["spread", "spread_definition"]
    rows = [
        ["reconstruction", "windows", "NT", "masked tokens", "median accuracy", 0.202, None, None],
        ["revised", "H3", "NT", "fine-tuning", "MCC", 0.7, None, None],
    ]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
    published = read_reconstruction(path)
    assert published == {"NT": 0.202}
    tables = make_tables(published, one=HISTORY)
    grid = accuracy_grid(last_measured(tables["held_out"]), tables["training"])
    assert grid.rows[0][0] == "one"
    assert grid.rows[0][-1] == "20.2%"
    assert "40%" in grid.rows[0]


def test_the_page_shows_every_model_group_and_quantity(make_tables):
    tables = make_tables(one=HISTORY, two=HISTORY[:2])
    assert list(tables) == [table.name for table in PRETRAINING]
    page = make_pretraining_page(tables, level=0.95, title="A title", note="")
    for text in ("A title: pretraining", "Bacteria", "989 TFLOP/s each", "+1.750"):
        assert text in page
    assert "1.000 less than by k-mer frequencies alone" in page
    assert "0.400 more than by k-mer frequencies alone" in page
    for figure in ("losses-0", "groups-0", "groups-1", "rates-4"):
        assert f'id="{figure}"' in page
    assert "Simulated data" not in page


def test_a_history_of_before_genomes_were_counted_still_makes_a_page(make_tables):
    kept = ("step", "tokens", "validation_loss_mask", "validation_accuracy_mask")
    kept += ("validation_unigram_loss", "validation_unigram_accuracy")
    kept += tuple(logged(1, 1.0, 0.0))
    old = [{key: row[key] for key in kept if key in row} for row in HISTORY]
    tables = make_tables(one=old)
    assert set(tables["held_out"]["group"]) == {""}
    page = make_pretraining_page(
        tables, level=0.95, title="Old", note="Simulated data, not a real genome"
    )
    assert "None of the genomes that are held out has a" in page
    assert "Simulated data" in page


def test_a_model_of_which_nothing_was_measured_is_named(make_tables):
    page = make_pretraining_page(
        make_tables(one=[logged(10, 5.0, 0.0)]), level=0.95, title="T", note=""
    )
    assert "nothing was measured on held-out windows" in page
