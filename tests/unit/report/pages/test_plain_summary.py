import numpy as np
import pandas as pd
import pytest

from dnalm.report.pages.grids import make_grid
from dnalm.report.pages.plain_summary import WIDTH, as_text, plain_summary
from dnalm.report.tables.files import read_tables, write_tables

STAGES = pd.DataFrame(
    {
        "stage": ["pretrain", "embed_task"],
        "jobs": [1, 4],
        "seconds": [1200.5, 99.5],
        "largest_job_seconds": [1200.5, 40.0],
        "processor_seconds": [2400.0, 90.0],
        "gpu_seconds": [2401.0, float("nan")],
        "peak_memory_mb": [500.0, 300.0],
    }
)


def summarise(tables, folder, stages=STAGES):
    paths = {name: str(folder / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    return plain_summary(read_tables(paths), stages)


def line(text, *words):
    """Return the words of the only line that begins with the given ones."""
    found = [row.split() for row in text.splitlines() if row.split()[: len(words)] == [*words]]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def text(shared_tables, tmp_path_factory):
    return summarise(shared_tables, tmp_path_factory.mktemp("plain"))


def test_models_show_steps_tokens_and_loss_beside_the_unigram_baseline(text):
    # The history ends at a loss of 7.3 + 1.1·exp(-3) = 7.355, the test's 7.455, beside 7.9.
    assert line(text, "small")[-7:] == ["60", "60", "k", "7.355", "7.455", "7.900", "+0.545"]
    assert line(text, "small.untrained")[-6:] == ["0", "0", "–", "–", "–", "–"]


def test_what_was_taken_from_context_is_said_with_both_gains_and_their_intervals(new_run, tmp_path):
    new_run.add_corpus()
    random = np.random.default_rng(0)
    masked, own = np.full(200, 12), random.normal(7.3, 0.5, 200)
    sums = {"own": own, "shuffled": own + 0.2, "foreign": own + 0.3, "tempered": own + 0.5}
    windows = {name: (12 * values).tolist() for name, values in sums.items()}
    measured = {"exponents": [0.5], "windows": windows | {"masked": masked.tolist()}}
    last = {"step": 60, "tokens": 60_000, "loss": 7.3, "loss_mask": 7.3}
    last |= {"validation_loss_mask": 7.3, "validation_context": measured}
    new_run.add_model("shown", history=[last])
    new_run.add_model("old", history=[{**last, "validation_context": None}])
    text = " ".join(summarise(new_run.tables(), tmp_path).split())
    assert "It has learned more than how common each k-mer is: the same tokens cost 0.200" in text
    assert "0.200 (0.200 … 0.200) nats more with the window's other tokens shuffled" in text
    assert "0.300 (0.300 … 0.300) more with another window's tokens around them" in text
    assert "What it took from context is missing" in text


def test_how_far_the_strand_decides_a_label_stands_beside_gc_and_length(shared_tables, tmp_path):
    audits = shared_tables["audits"].assign(
        gc_strength=0.11, length_strength=0.22, strand_strength=0.33
    )
    text = summarise({**shared_tables, "audits": audits}, tmp_path)
    task = audits["task"].iloc[0]
    assert any(
        row.startswith(task) and row.split()[-3:] == ["0.110", "0.220", "0.330"]
        for row in text.splitlines()
    )
    assert "by strand" in " ".join(text.split())


def test_stages_end_in_a_total(text):
    assert line(text, "embed_task") == ["embed_task", "4", "99.5", "40.0", "–"]
    assert line(text, "pretrain") == ["pretrain", "1", "1,200.5", "1,200.5", "2,401.0"]
    assert line(text, "total") == ["total", "5", "1,300.0", "1,200.5", "–"]


def test_every_task_has_a_row_of_scores_over_the_splits(text, shared_tables):
    assert "splits: 3" in text
    summary = shared_tables["summary"]
    for row in summary.to_dict("records"):
        cell = f"{row['mcc_mean']:.3f} ± {2 * row['mcc_sd']:.3f}".replace("-", "−")
        assert any(r.startswith(row["task"]) and cell in r for r in text.splitlines())


def test_differences_and_contigs_are_those_of_the_tables(text, shared_tables):
    lift = shared_tables["lift"]
    assert len(lift) > 4
    for row in lift.to_dict("records"):
        interval = f"{row['low']:+.3f} … {row['high']:+.3f}".replace("-", "−")
        shown = row["region"].startswith("on contigs")
        assert any(interval in r for r in text.splitlines()) == shown
    gains = shared_tables["comparisons"]
    for row in gains[gains["against"] == "untrained"].to_dict("records"):
        interval = f"{row['low']:+.3f} … {row['high']:+.3f}".replace("-", "−")
        assert any(interval in r and row["verdict"] in r for r in text.splitlines())


def test_simulated_data_are_named_first(text):
    assert text.startswith("SIMULATED DATA")


def test_published_values_say_whether_they_may_be_compared(published_run, tmp_path):
    found = summarise(published_run.tables(), tmp_path).splitlines()
    use = {value: [r for r in found if value in r] for value in ("0.788", "0.793")}
    judged = [r for r in use["0.788"] if r.split()[-1] != "comparable"]
    assert len(judged) == 1
    assert "below" in judged[0]
    use["0.788"].remove(judged[0])
    assert [r.split()[-1] for r in use["0.788"]] == ["comparable"]
    assert [r.split()[-2:] for r in use["0.793"]] == [["for", "orientation"]]
    assert "± 0.020" in use["0.788"][0]


def test_a_run_without_models_and_times_is_summarised(new_run, tmp_path):
    new_run.add_task("mine.x", {"train": 90, "test": 100}, simulated=False)
    new_run.add_result("baseline", "kmers", "mine.x", [0.7, 0.8])
    found = summarise(new_run.tables(), tmp_path, STAGES[:0])
    assert found.count("Nothing to show.") == 8
    assert "mine.x" in found


def test_the_models_of_the_paper_stand_in_one_block(new_run, tmp_path):
    new_run.add_corpus()
    history = [
        {"step": 500000, "tokens": 5 * 10**11, "loss": 7.5, "loss_mask": 7.5}
        | {f"{split}_loss_mask": 7.25 for split in ("validation", "test")}
        | {"validation_unigram_loss": 7.75}
    ]
    new_run.add_model("v2-500m-multi-species", history=history)
    new_run.add_model("v2-500m-multi-species.untrained", untrained_of="v2-500m-multi-species")
    found = summarise(new_run.tables(), tmp_path).splitlines()
    (line,) = [line for line in found if line.startswith("v2-500m-multi-species ")]
    assert line.split()[-4:] == ["7.250", "7.250", "7.750", "+0.500"]


def test_lines_fit_a_terminal_however_many_and_long_the_columns(text):
    assert max(map(len, text.splitlines())) <= WIDTH
    names = [f"a method with a long name, number {i}" for i in range(12)]
    rows = [[f"set.task_{'x' * n}", *["0.512 ± 0.034"] * 12] for n in (5, 25, 120)]
    shown = as_text(make_grid(["task", *names], rows, first=1))
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert shown.count("0.512 ± 0.034") == 36
    assert len({row for row in shown.splitlines() if row.startswith("set.task_xxxxx ")}) >= 1


def test_the_first_lines_say_where_pretraining_helped_and_by_how_much(text):
    first = " ".join(text.split("What to use")[0].split())
    assert "Pretraining helped small · probe on 1 of 2 tasks (simulated.promoters by 0.4" in first
    assert "no clear difference on simulated.enhancers" in first
    assert "simulated.shuffled" not in first
