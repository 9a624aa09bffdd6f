"""Hours of the stages follow from the configuration, and say what is not known."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from dnalm.configuration.interpretation.amounts import count_table_rows
from dnalm.configuration.workload import count_source_bases, find_contig_bases
from dnalm.jobs.gpus import GPUS, find_gpus
from dnalm.report.estimates.hours import EstimateFiles, list_work, summarise, tabulate, write_hours

ROOT = Path(__file__).parents[4]
MODEL = "500m-human-ref"
V1_BLOCK = 4 * 1280**2 + 2 * 1280 * 5120


def read_revised() -> list[dict[str, str]]:
    lines = (ROOT / "resources/tasks.tsv").read_text().splitlines()
    rows = csv.DictReader([line for line in lines if not line.startswith("#")], delimiter="\t")
    return [row for row in rows if row["task"].startswith("revised.")]


REVISED = [row["task"] for row in read_revised()]
ALL = {"tasks": REVISED, "pooled": REVISED}


def sum_amounts(works, stage) -> float:
    return sum(work.amount for work in works if work.stage == stage)


def forward(length: str, layers: int = 24) -> float:
    tokens = 1 + int(length) // 6 + int(length) % 6
    return layers * tokens * (2 * V1_BLOCK + 4 * 1280 * tokens)


def test_embeddings_are_the_rows_of_the_sheet_times_a_forward_pass(resolve):
    works = list_work(resolve({**ALL, "probed": [MODEL], "probes": ["probe"]}))
    expected = sum(
        (int(row["train_rows"]) + int(row["test_rows"])) * forward(row["length"])
        for row in read_revised()
    )
    assert sum_amounts(works, "embedding") == expected
    disk = sum(work.disk for work in works if work.stage == "embedding")
    rows = sum(int(row["train_rows"]) + int(row["test_rows"]) for row in read_revised())
    assert disk == rows * 10 * 1280 * 4


def test_fine_tuning_counts_steps_validation_passes_and_the_test_set(resolve):
    works = list_work(resolve({**ALL, "tuned": [MODEL], "finetunes": ["ia3"]}))
    expected = sum(
        10  # folds, each 10,000 steps of eight rows, 20 evaluations of a tenth, the test rows
        * (2 * 10_000 * 8 + 20 * int(row["train_rows"]) / 10 + int(row["test_rows"]))
        * forward(row["length"])
        for row in read_revised()
    )
    assert sum_amounts(works, "fine-tuning") == pytest.approx(expected)


def test_hours_on_a_gpu_are_the_work_over_the_used_share_of_its_peak(resolve):
    load = resolve({**ALL, "tuned": [MODEL], "finetunes": ["ia3"]})
    works = list_work(load)
    (row,) = tabulate(load, works, {}, 0.0)
    flops = sum_amounts(works, "fine-tuning")
    # 19.5 and 15.7 TFLOP/s in float32, four tenths of them.
    assert row["hours_A100-80"] == pytest.approx(flops / (0.4 * 19.5e12) / 3600)
    assert row["hours_V100"] == pytest.approx(flops / (0.4 * 15.7e12) / 3600)
    assert row["core_hours_here"] is None  # nothing was measured


def test_hours_here_are_the_work_over_the_measured_rate_and_the_start_of_each_job(resolve):
    load = resolve({**ALL, "tuned": [MODEL], "finetunes": ["ia3"]})
    works = list_work(load)
    rates = {work.rate: 5e10 for work in works}
    (row,) = tabulate(load, works, rates, 4.0)
    flops = sum_amounts(works, "fine-tuning")
    assert row["core_hours_here"] == pytest.approx((flops / 5e10 + 18 * 4.0) / 3600)
    assert row["rate_here"] == pytest.approx(5e10)


def test_precision_is_that_of_the_stage_or_the_next_that_a_gpu_has():
    a100, v100 = find_gpus(["A100-80", "V100"])
    assert a100.reach_peak("bf16") == a100.reach_peak("auto") == 312e12
    assert a100.reach_peak("tf32") == 156e12
    assert v100.reach_peak("bf16") == v100.reach_peak("auto") == 15.7e12
    assert all(gpu.source for gpu in GPUS)


def test_what_is_not_known_is_counted_and_said(resolve):
    tasks = {"own.a": {"path": "a.tsv"}, "own.b": {"path": "b.tsv", "length": 300}}
    selected = {"probed": [MODEL], "probes": ["probe"], "tasks": ["own.a", "own.b", REVISED[0]]}
    selected |= {"pooled": selected["tasks"], "located": ["own.a"], "searched": {None: ["mine"]}}
    load = resolve(selected, tasks=tasks)
    rows = tabulate(load, list_work(load), {}, 0.0)
    unknown = {row["stage"]: row["unknown"] for row in rows}
    assert unknown == {"exposure": 2, "embedding": 2, "probing": 2}
    text = "\n".join(summarise(load, rows))
    assert f"Not counted: 2 × embedding {MODEL} (rows or lengths" in text


def test_a_tables_own_counts_go_before_the_published_ones(resolve):
    summary = {
        "kind": "binary",
        "classes": 2,
        "rows": {"train": 70, "test": 30},
        "lengths": {"min": 600, "median": 600.0, "max": 600},
    }
    task = REVISED[0]
    selected = {"probed": [MODEL], "probes": ["probe"], "tasks": [task], "pooled": [task]}
    load = resolve(selected, {"tasks": {task: summary}})
    assert sum_amounts(list_work(load), "embedding") == 100 * forward("600")


def test_genomes_count_by_their_own_bases_or_by_what_is_said_of_their_sheet(resolve):
    genomes = {None: ["grch38"], "genomes.tsv": ["a", "b"]}
    selected = {"tasks": REVISED, "located": REVISED, "searched": genomes}
    load = resolve(selected)
    assert load["searched"] == {"grch38": 3_088_269_832, "genomes.tsv": 173_900_000_000}
    known = resolve(selected, {"genomes": {"a": 5, "b": 7}})
    assert known["searched"] == {"grch38": 3_088_269_832, "a": 5, "b": 7}
    index, search = list_work(load)
    assert index.amount == 3_088_269_832 + 173_900_000_000
    # Every base of a row is looked for in every part of 1 G bases.
    rows = sum(
        (int(row["train_rows"]) + int(row["test_rows"])) * int(row["length"])
        for row in read_revised()
    )
    assert search.amount == pytest.approx(rows * 176.988269832)


def test_the_untrained_models_and_both_strands_are_work_as_well(resolve):
    one = resolve({**ALL, "probed": [MODEL], "probes": ["probe"]})
    both = resolve(
        {**ALL, "probed": [MODEL, f"{MODEL}.untrained"], "probes": ["probe"]},
        embed={"strands": "both"},
    )
    amounts = [sum_amounts(list_work(load), "embedding") for load in (one, both)]
    assert amounts[1] == 4 * amounts[0]


def test_table_summary_and_rates_are_written(resolve, tmp_path):
    """A whole small estimate, with rates that are really measured."""
    small = {"generation": "v2", "layers": 1, "heads": 2, "width": 16, "ffn_width": 32}
    load = resolve(
        {
            "probed": ["small"],
            "tuned": ["small"],
            "tasks": REVISED[:1],
            "pooled": REVISED[:1],
            "probes": ["probe"],
            "finetunes": ["ia3"],
        },
        model={"presets": {"small": small}},
        models={"small": {"preset": "small", "corpus": "multispecies-12kb"}},
        estimate={"measure_seconds": 1},
        probe={"penalties": [0.1]},
    )
    names = {part: tmp_path / part for part in ("table", "summary", "rates")}
    write_hours(load, EstimateFiles(**names))
    with open(names["table"], newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["stage"] for row in rows] == ["embedding", "probing", "fine-tuning"]
    assert all(float(row["core_hours_here"]) > 0 for row in rows)
    assert rows[1]["hours_H200"] == ""  # on processors: probe.device is cpu
    facts = json.loads(names["rates"].read_text())
    assert len(facts["rates"]) == 3
    assert facts["job_start_seconds"] > 0.3
    text = names["summary"].read_text()
    assert "arithmetic at 0.4 of its dense peak" in text


PUBLISHED = "published.500m-human-ref"


def test_variants_are_their_passes_and_heads_and_pairs_are_trained_on(resolve):
    entry = {"genome": "grch38", "models": [PUBLISHED], "label": {"path": "l.tsv"}}
    entry |= {"scores": ["l2", "llr"], "finetune": ["ia3"]}
    others = {"variants": {"mine": entry}, "estimate": {"variants": {"mine": 1_000}}}
    works = list_work(resolve({"variants": ["mine"]}, **others))
    # Reference, alternative and the masked window of 5,994 bases.
    assert sum_amounts(works, "variants") == 1_000 * 3 * forward("5994")
    # Five groups of 10,000 steps of eight pairs, 20 evaluations of one group each and its scores.
    pairs = 5 * 2 * 10_000 * 8 + 21 * 1_000
    assert sum_amounts(works, "fine-tuning on variants") == 2 * pairs * forward("5994")
    entry |= {"scores": ["loss_difference"], "strands": "both", "frames": "all"}
    works = list_work(resolve({"variants": ["mine"]}, **others))
    head = 2 * 1_000 * 1280 * (1280 + 4_105)
    expected = 1_000 * 6 * 2 * 2 * (forward("5994") + head)
    assert sum_amounts(works, "variants") == pytest.approx(expected)


def test_a_set_of_which_nobody_said_how_many_variants_it_has_is_in_no_sum(resolve):
    entry = {"vcf": "v.vcf", "genome": "grch38", "models": [PUBLISHED]}
    load = resolve({"variants": ["mine"]}, variants={"mine": entry})
    (work,) = list_work(load)
    assert work.amount is None
    assert "say how many there are in estimate.variants" in work.unknown


def test_predictions_by_a_model_that_is_not_ours_are_said_to_be_unknown(resolve):
    theirs = {"embedder": {"transformers": "/weights/x"}, "licence": "mit"}
    entry = {"model": "theirs", "method": "ia3", "task": REVISED[0], "path": "x.fa"}
    load = resolve(
        {"predictions": ["p"], "finetunes": ["ia3"]},
        {"predictions": {"p": 10_000}},
        models={"theirs": theirs},
        predictions={"p": entry},
    )
    (work,) = [work for work in list_work(load) if work.stage == "predictions"]
    assert work.amount is None
    assert work.task == "p"


def test_files_at_hand_count_by_their_text_and_what_is_no_file_by_nothing(tmp_path):
    lines = b"chr1\t1\t2\n" * 5000
    plain, packed, torn = (tmp_path / name for name in ("a.bed", "a.bed.gz", "torn.bed.gz"))
    plain.write_bytes(lines)
    packed.write_bytes(gzip.compress(lines))
    torn.write_bytes(packed.read_bytes()[:40])
    for path in (plain, packed):
        assert count_source_bases({"bed": "", "window": 200}, str(path)) == 5000 * 200
        assert count_table_rows(path) == 4999
    for path in (torn, tmp_path, tmp_path / "none.bed"):
        assert count_source_bases({"bed": "", "window": 200}, str(path)) is None
        assert count_table_rows(path) is None
    assert count_source_bases({"path": ""}, str(plain)) == len(lines)
    assert count_source_bases({"path": ""}, str(tmp_path)) is None
    assert count_source_bases({"bed": "", "window": None}, str(plain)) is None


def test_a_simulated_genome_has_the_bases_of_its_entry_before_it_is_made(tmp_path):
    table, entry = tmp_path / "contigs.tsv", {"simulate": {"contigs": {"one": 800, "two": 90}}}
    assert find_contig_bases(entry, table) == {"one": 800, "two": 90}
    assert find_contig_bases(entry | {"contigs": ["one"]}, table) is None
    assert find_contig_bases({"url": "https://x/y.fa"}, table) is None
    table.write_text("contig\tstart\tlength\toffset\none\t0\t300\t0\none\t400\t400\t300\n")
    assert find_contig_bases(entry, table) == {"one": 700}
