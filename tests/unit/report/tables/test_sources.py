"""Results are joined by the names that files carry, whatever the order in which they are listed."""

import json
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dnalm.benchmark.parquet import read_names, write_parquet
from dnalm.errors import InputError
from dnalm.files import read_json
from dnalm.report.tables.assembly import make_tables
from dnalm.report.tables.pretraining import pretraining_tables
from dnalm.report.tables.records import read_results
from dnalm.report.tables.sources import read_pretraining, read_sources
from dnalm.report.tables.verdicts.published_scores import read_published

from ..conftest import PUBLISHED, STATISTICS, history

SAMPLES = [("one", "GBR", "EUR", (10, 2, 3, 0)), ("two", "YRI", "AFR", (20, 4, 5, 1))]
PROMOTERS, ENHANCERS = "simulated.promoters", "simulated.enhancers"


@pytest.fixture
def two_of_each(run):
    """Return the simulated run with two corpora, genomes and panels, and four kinds of models.

    The second of each differs from the first in every number. Names do not come in order.
    """
    run.corpora.append(json.loads(json.dumps(run.corpora[0])) | {"name": "another"})
    run.corpora[1]["splits"]["train"]["tokens"] = 777
    run.add_counts(6, range(4096), corpus="another")
    run.genomes.append(run.genomes[0] | {"name": "genome2", "bases": 7_000})
    run.corpora[1]["genomes"] = [
        run.genomes[1] | {"contigs": run.corpora[0]["genomes"][0]["contigs"]}
    ]
    run.add_panel("people", SAMPLES)
    run.add_panel("animals", SAMPLES[1:], ignored={"overlap": 3})
    run.add_model("given", corpus=None)
    run.add_model("aged", history=history(steps=80, every=20), corpus="another")
    for task in (PROMOTERS, ENHANCERS):
        run.add_result("probe", "aged", task, [0.85, 0.6], seed=11)
        run.add_result("probe", "given", task, [0.75, 0.65], seed=12)
        run.add_result("baseline", "one_hot", task, [0.55, 0.5], seed=13)
    run.add_locations(ENHANCERS, ["train"] * 400, [False] * 400)
    places = ["test"] * 300 + [None] * 100
    run.add_locations(PROMOTERS, places, [True] * 400, train=9, corpus="another")
    run.add_audit(PROMOTERS, ["near"] * 50, other_labels=4)
    return run


def shuffled(files, generator):
    """Return the same in another order: lists, mappings, and those in them."""
    if not isinstance(files, dict | list):
        return files
    first = list(files)
    order = generator.sample(first, len(first))
    while order == first and len(first) > 1:
        order = generator.sample(first, len(first))
    if isinstance(files, dict):
        return {key: shuffled(files[key], generator) for key in order}
    return [shuffled(entry, generator) for entry in order]


def written(tables):
    return {name: table.to_csv(sep="\t", index=False) for name, table in tables.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_tables_do_not_depend_on_the_order_of_any_list(two_of_each, seed):
    run = two_of_each
    files = {"results": run.results, "listed": run.list_files(), "named": run.name_files()}
    identities, published = run.identities(), read_published(PUBLISHED)
    made = []
    for given in (files, shuffled(files, random.Random(seed))):
        sources = read_sources(given["listed"], given["named"], identities)
        results = read_results(given["results"], identities)
        made.append(written(make_tables(results, sources, published, identities, STATISTICS)))
    assert made[0] == made[1]


def test_each_number_stands_under_the_name_of_its_file(two_of_each):
    tables = two_of_each.tables()
    kmers = tables["kmers"].groupby("corpus")["count"].sum()
    assert kmers.to_dict() == {"toy": 40_960, "another": 4095 * 4096 // 2}
    variants = tables["haplotypes"].groupby("panel", sort=False)["snvs"].sum()
    assert variants.to_dict() == {"people": 10 + 11 + 20 + 21, "animals": 20 + 21}
    steps = tables["models"].set_index("model")["steps"]
    assert list(steps.items()) == [
        ("small", 60),
        ("aged", 80),
        ("given", 0),
        ("small.untrained", 0),
    ]
    near = tables["audits"].set_index("task")["test_in_train_near"]
    assert near.to_dict() == {PROMOTERS: 50, ENHANCERS: 0, "simulated.shuffled": 0}
    exposure = tables["exposure"].set_index(["task", "corpus"])["models"]
    assert exposure.to_dict() == {
        (ENHANCERS, "toy"): "small",
        (PROMOTERS, "another"): "aged",
        (PROMOTERS, "toy"): "small",
    }


def test_the_tables_of_pretraining_do_not_depend_on_the_order_of_any_list(two_of_each):
    run = two_of_each
    for facts in run.runs:
        facts["pretrain"] = {"masking": {"selected": 0.15}}
    for path in map(Path, run.histories.values()):
        kept = [line for line in path.read_text().splitlines() if "test_loss" not in line]
        path.write_text("\n".join(kept) + "\n")
    identities = run.identities()
    listed = run.list_files()
    trained = [path for path in listed["runs"] if read_json(path)["model"] in run.histories]
    files = {"runs": trained, "corpora": listed["corpora"], "histories": run.histories}
    made = []
    for given in (files, shuffled(files, random.Random(1))):
        sources = read_pretraining(given, given["histories"], identities)
        rest = {"identities": identities, "bootstrap": STATISTICS.bootstrap}
        tables = pretraining_tables(**sources, published={}, **rest)
        made.append(written(tables))
    assert made[0] == made[1]
    assert tables["training"].set_index("model")["steps"].to_dict() == {"small": 59, "aged": 79}
    epochs = tables["training"].set_index("model")["epochs"].to_dict()
    assert epochs == {"small": pytest.approx(59_000 / 1500), "aged": pytest.approx(79_000 / 777)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "third"}, "its name is 'third', which the run has not; delete the file"),
        ({"name": "toy"}, "its name is 'toy', which another file holds too; delete the file"),
        ({"name": None}, "its name is None, which the run has not"),
    ],
)
def test_a_file_of_another_name_is_refused(two_of_each, change, message):
    identities = two_of_each.identities()
    two_of_each.corpora[1] |= change
    listed = two_of_each.list_files()
    with pytest.raises(InputError, match=f"corpora-1.json: {message}"):
        read_sources(listed, two_of_each.name_files(), identities)


def test_a_name_without_a_file_is_missed(two_of_each):
    listed = two_of_each.list_files()
    listed["audits"].pop()
    with pytest.raises(InputError, match=r"No file has the task 'simulated\.shuffled'"):
        read_sources(listed, two_of_each.name_files(), two_of_each.identities())


@pytest.mark.parametrize("kind", ["audit_rows", "locations"])
def test_rows_that_say_they_are_of_another_task_are_refused(two_of_each, kind):
    listed, named = two_of_each.list_files(), two_of_each.name_files()
    files = named[kind] if kind == "audit_rows" else named[kind]["toy"]
    shutil.copy(files[ENHANCERS], files[PROMOTERS])
    with pytest.raises(InputError, match=f"it is of the task {ENHANCERS}, not of {PROMOTERS}"):
        read_sources(listed, named, two_of_each.identities())


def test_predictions_that_say_they_are_of_another_result_are_refused(run):
    first, second = run.results[:2]
    shutil.copy(second["predictions"], first["predictions"])
    with pytest.raises(InputError, match=r"it is of the task .*, not of .*; delete the file"):
        read_results(run.results, run.identities())


def test_files_of_before_they_carried_names_are_read_by_the_names_given(run, tmp_path):
    expected = written(run.tables())
    named = run.name_files()
    paths = [files["predictions"] for files in run.results]
    paths += [*named["audit_rows"].values(), *named["locations"]["toy"].values()]
    for path in paths:
        assert "task" in read_names(path)
        pd.read_parquet(path).to_parquet(path, index=False)
        assert "task" not in read_names(path)
    assert written(run.tables()) == expected


def test_names_leave_the_rows_of_a_parquet_file_as_they_are(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "label": [[1, 0], [0, 1]], "x": [0.5, None]})
    write_parquet(table, tmp_path / "named.parquet", {"task": "mine.x"})
    table.to_parquet(tmp_path / "plain.parquet", index=False)
    named, plain = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("named", "plain"))
    pd.testing.assert_frame_equal(named, plain)
    assert read_names(tmp_path / "named.parquet")["task"] == "mine.x"
