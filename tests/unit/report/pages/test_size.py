"""The page of a run as large as the paper's: eight models, 36 tasks, ten layers, ten splits."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.scoring.results import result_names
from dnalm.files import write_json
from dnalm.methods import UNTRAINED
from dnalm.report.job_records import RuleGraph
from dnalm.report.pages.benchmark import ReportConfig, make_page
from dnalm.report.provenance import Provenance
from dnalm.report.tables.stages import stages_table

MADE = Provenance(
    facts=[("dnalm", "0.0")],
    configuration="a: 1",
    methods="M",
    citations="C",
    rules=RuleGraph(reads={}, jobs={}),
)
CONFIG = ReportConfig(
    title="Large",
    statistic="mean_2sd",
    bootstrap={"draws": 200, "seed": 1, "level": 0.95},
    correction="holm",
    equal=0.02,
    leak="overlap",
)
MODELS = [f"model-{i}" for i in range(8)]
FIRST, *OTHERS = TASKS = [f"revised.task_number_{i:02}" for i in range(36)]
LAYERS, SPLITS, ROWS, EVALUATIONS = 10, 10, 60, 20
LARGEST = 8_000_000  # bytes


def plant(run):
    """Plant probes and IA3 of eight models, their untrained selves and three baselines."""
    random = np.random.default_rng(0)
    run.add_corpus()
    for i, task in enumerate(TASKS):
        run.add_task(task, {"train": 900, "test": ROWS}, category=f"category {i % 4}")
    for model in MODELS:
        run.add_model(model)
        run.add_model(f"{model}.{UNTRAINED.name}", untrained_of=model)
    grid = [
        {"feature": f"layer.{i}", "penalty": penalty}
        | {"validation_mcc_mean": 0.05 * i + penalty, "validation_mcc_sd": 0.02}
        for i in range(1, LAYERS + 1)
        for penalty in (0.001, 0.01)
    ]
    entries = [("baseline", name, [], None) for name in ("kmers", "gc_content", "majority")]
    for model in MODELS:
        entries += [("probe", name, grid, None) for name in (model, f"{model}.{UNTRAINED.name}")]
        entries += [("ia3", model, [], np.linspace(0.7, 0.4, EVALUATIONS))]
    labels = np.arange(ROWS) % 2
    for method, model, penalties, losses in entries:
        shares = (0.3 * labels[:, None] + random.random((SPLITS, ROWS, 1))) / 1.3
        shares = np.concatenate([1 - shares, shares], axis=2)
        run.add_outputs(method, model, FIRST, labels, shares, penalties, losses)
    for files in list(run.results):
        repeat(run, files)
    return run


def repeat(run, files):
    """Give a result of the first task to all others."""
    facts = json.loads(Path(files["summary"]).read_text())
    predictions = pd.read_parquet(files["predictions"])
    for task in OTHERS:
        own = {name: files[name].replace(FIRST, task) for name in ("summary", "predictions")}
        write_json(own["summary"], facts | {"task": task})
        write_parquet(predictions, own["predictions"], result_names(facts | {"task": task}))
        run.results.append(files | own)


@pytest.mark.slow
def test_the_page_of_the_papers_size_stays_small(new_run, tmp_path, capsys):
    plant(new_run)
    began = time.process_time()
    tables = new_run.tables()
    tabulated = time.process_time()
    page = make_page(tables, stages_table(tmp_path / "none", tables), CONFIG, MADE, [])
    drawn = time.process_time()
    size = len(page.encode())
    with capsys.disabled():
        print(
            f"\ntables {tabulated - began:.0f} s, page {drawn - tabulated:.0f} s of processor, "
            f"{size / 1e6:.1f} MB"
        )
    assert size <= LARGEST
    assert tables["test_curves"]["task"].nunique() == len(TASKS)
    assert page.count("Precision by recall") == len(TASKS)
    for name in ("confusion", "layers", "finetuning_curves", "comparisons"):
        assert set(tables[name]["task"]) == set(TASKS)
