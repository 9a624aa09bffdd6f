import html.parser
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.report.job_records import RuleGraph
from dnalm.report.method_names import LARGEST, plan
from dnalm.report.pages import comparison_grids
from dnalm.report.pages.benchmark import ReportConfig, make_page
from dnalm.report.pages.comparison_grids import with_choices
from dnalm.report.pages.findings import pretraining_in_short
from dnalm.report.pages.grids import costs_grid
from dnalm.report.provenance import Provenance
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.stages import stages_table

NO_RECORDS = RuleGraph(reads={}, jobs={})
MADE = Provenance(
    facts=[("dnalm", "0.0")], configuration="a: 1", methods="M", citations="C", rules=NO_RECORDS
)

CONFIG = ReportConfig(
    title="A <benchmark>",
    statistic="mean_2sd",
    bootstrap={"draws": 200, "seed": 1, "level": 0.95},
    correction="holm",
    equal=0.02,
    leak="overlap",
)
LIMIT_BYTES = 3_000_000


class Page(html.parser.HTMLParser):
    """Text of a page, its attributes that name another file, and its inline scripts and styles."""

    def __init__(self, source):
        super().__init__()
        self.addresses, self.text, self.inline, self.ids, self.stack = [], [], [], set(), []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.stack.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                self.addresses.append(value)
            if name == "id":
                self.ids.add(value)

    def handle_data(self, data):
        inside = self.stack[-1] if self.stack else ""
        kind = self.inline if inside in ("script", "style") else self.text
        kind.append(data)

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    @property
    def specifications(self):
        scripts = [script for script in self.inline if script.strip().startswith("const figures")]
        return json.loads(re.search(r"const figures = (\[.*\]);\n", scripts[0]).group(1))


def make(run, folder):
    return show(run.tables(), folder)


def show(tables, folder):
    paths = {name: str(folder / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    read = read_tables(paths)
    return make_page(read, stages_table(folder / "none", read), CONFIG, MADE, [])


@pytest.fixture(scope="module")
def source(shared_tables, tmp_path_factory):
    return show(shared_tables, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_the_page_asks_nothing_of_the_network(source, page):
    beside = ("pretrain_summary.html", "variants.html")
    assert all(address.startswith(("#", "data:", *beside)) for address in page.addresses)
    styles = [part for part in page.inline if "{" in part and "const" not in part]
    assert not any("@import" in style or re.search(r"url\((?!data:)", style) for style in styles)
    for figure in page.specifications:
        assert '"url"' not in json.dumps(figure["specification"])
    assert len(source.encode()) < LIMIT_BYTES


def test_every_link_of_the_contents_leads_somewhere(page):
    for address in page.addresses:
        assert not address.startswith("#") or address[1:] in page.ids


def test_simulated_data_are_named_on_the_page_and_in_every_figure(page):
    assert "Simulated data" in page.words
    assert len(page.specifications) >= 5
    for figure in page.specifications:
        assert figure["id"] in page.ids
        assert "Simulated data" in figure["specification"]["title"]["subtitle"]


def test_real_data_are_not_called_simulated(run, tmp_path):
    for facts in (*run.tasks.values(), *run.genomes, *run.corpora):
        facts["simulated"] = False
    page = Page(make(run, tmp_path))
    assert "imulated data" not in page.words
    assert all("subtitle" not in f["specification"]["title"] for f in page.specifications)


def test_a_mixture_is_called_partly_simulated(run, tmp_path):
    run.tasks["simulated.enhancers"]["simulated"] = False
    assert "Partly simulated data" in Page(make(run, tmp_path)).words


def test_every_number_of_the_tables_stands_on_the_page(shared_tables, page):
    tables = shared_tables
    words = page.words.replace("−", "-")
    for name, columns in {
        "summary": ["mcc_mean", "mcc_sd", "accuracy_mean", "f1_mean", "auc_mean", "low", "high"],
        "comparisons": ["score", "reference_score", "difference", "low", "high"],
        "lift": ["score", "untrained_score", "lift", "low", "high"],
        "layers": ["validation_score", "validation_score_sd"],
        "models": ["validation_loss", "test_loss", "unigram_loss"],
    }.items():
        for column in columns:
            for value in tables[name][column].dropna():
                assert f"{value:.3f}" in words, (name, column, value)
    facts = ("900", "400", "b" * 64, "a" * 64, "d" * 64, "c" * 64, "1,000,000")
    for text in (*facts, "Homo exemplaris", "haiku"):
        assert text in words


def test_many_models_have_one_sentence_in_short_and_their_tasks_below():
    rows = [
        {
            "method": "probe",
            "model": f"model{number}",
            "task": task,
            "metric": "mcc",
            "against": "untrained",
            "verdict": verdict,
            "difference": 0.2,
            "low": 0.1,
            "high": 0.3,
        }
        for number in range(5)
        for task, verdict in (("a", "better"), ("b", "no clear difference"), ("c", "worse"))
    ]
    comparisons = pd.DataFrame(rows)
    few = pretraining_in_short(comparisons[comparisons["model"] < "model4"], {"b"})
    assert len(few) == 4
    assert few[0].startswith("Pretraining helped model0 · probe on 1 of 2 tasks (a by 0.200")
    assert pretraining_in_short(comparisons, {"b"}) == [
        "Pretraining helped in 5 of 10 pairs of a task with a model's method, and was worse than"
        " untrained in 5; the others show no clear difference."
    ]


def test_the_findings_say_what_was_planted(page, source):
    short = source[source.index("<h2>In short") : source.index("<table")]
    assert "Pretraining helped small · probe on 1 of 2 tasks" in short
    assert source.count("Pretraining helped small · probe on 1 of 2 tasks") == 1
    assert re.search(
        r"Pretraining helped small · probe on 1 of 2 tasks "
        r"\(simulated\.promoters by 0\.4\d\d, 0\.\d+ … 0\.\d+\)",
        page.words,
    )
    for method in ("probe", "IA3 fine-tuning"):
        assert (
            f"small · {method} beat k-mer counts on 1 of 2 tasks (simulated.promoters); "
            f"k-mer counts were still better on simulated.enhancers" in page.words
        )
    assert "simulated.shuffled, whose labels are shuffled, all score 0 within chance" in page.words
    assert "None of these tasks has a published value" in page.words


def test_overlaps_are_shares_of_the_rows_that_were_located(source):
    line = next(r for r in source.split("<tr>") if "320 of 400" in r)
    for cell in ("300 of 900", "40 of 320 (12.5%)", "30 of 300 (10.0%)"):
        assert f">{cell}<" in line
    other = [r for r in source.split("<tr>") if "not looked for" in r]
    assert any("simulated.enhancers" in r for r in other)


def test_the_page_says_how_each_task_is_pooled(source):
    lines = [r for r in source.split("<tr>") if "train.csv" in r and "2 classes" in r]
    pooled = {"centre" in r: re.search(r"simulated\.\w+", r).group() for r in lines}
    assert pooled[True] == "simulated.enhancers"
    assert sum("whole sequence" in r for r in lines) == 2


def test_the_size_of_a_word_is_that_of_the_corpus(run, page, tmp_path):
    assert "Guessing among 4,096 equally likely 6-mers costs 8.32 nats" in page.words
    run.set_k(3)
    other = Page(make(run, tmp_path)).words
    assert "Guessing among 64 equally likely 3-mers costs 4.16 nats" in other
    assert "The models read DNA as 3-mers" in other
    assert "6-mer" not in other


def test_every_corpus_has_a_card_with_its_windows_kmers_and_haplotypes(run, tmp_path):
    run.add_panel("people", [("one", "GBR", "EUR", (10, 2, 3, 0)), ("two", "", "", (9, 1, 1, 0))])
    page = Page(make(run, tmp_path))
    for words in (
        "Windows of 900 bases begin every 800 bases",
        "entropy, of at most ln 4,096 8.318 of 8.318 nats",
        "Haplotypes: people",
        "breakend 100",
        "GBR EUR 1 15.5 10.5 2.0 3.0 0.0",
    ):
        assert words in page.words
    drawn = [f["id"] for f in page.specifications if f["id"].startswith("corpus-0")]
    assert drawn == ["corpus-0-spectrum-0", *(f"corpus-0-variants-{i}" for i in range(3))]
    assert {"corpus-0", *drawn} <= page.ids


def test_how_the_embeddings_were_made_stands_beside_the_layers(source):
    assert "Embeddings are of the mean over both strands, computed in bf16" in source


def test_the_panels_of_the_layers_share_one_legend(source, page):
    panels = [f["specification"] for f in page.specifications if f["id"].startswith("layers")]
    assert len(panels) == 3
    for panel in panels:
        assert panel["layer"][0]["encoding"]["color"]["legend"] is None
    section = source[source.index('<section id="layers">') :]
    legend = re.findall(r'<ul class="legend".*?</ul>', section, re.DOTALL)
    assert len(legend) == 1
    assert legend[0].count("<li>") == 2
    # The marks of the panels: a disc for a probe, hollow before training.
    assert re.findall(r'<b style="color: (#\w+);[^>]*>(.)</b>', legend[0])[0][0] == "#ffffff"
    assert legend[0].count(">●</b>") == 2


def test_a_control_that_scores_is_called_out(run, tmp_path):
    run.add_result("baseline", "leaky", "simulated.shuffled", [0.9, 0.9, 0.9])
    assert "Caution: on the control simulated.shuffled" in Page(make(run, tmp_path)).words


def test_a_published_value_that_may_not_be_compared_is_grey_and_says_why(published_run, tmp_path):
    source = make(published_run, tmp_path)
    grey = re.findall(r'<tr class="grey">(.*?)</tr>', source)
    assert len(grey) == 1
    assert "0.793" in grey[0]
    assert "not a published model" in grey[0]
    comparable = re.findall(r"<tr>(?:(?!</tr>).)*0\.788(?:(?!</tr>).)*</tr>", source)
    assert any(">Yes<" in line for line in comparable)


def test_the_title_is_text_not_markup(source, page):
    assert "<h1>A &lt;benchmark&gt;</h1>" in source
    assert "A <benchmark>" in page.words


def test_names_with_markup_are_text(shared_tables, tmp_path):
    tables = {
        name: table.replace({"simulated.promoters": "<script>mine</script>", "small": "a&<i>b</i>"})
        for name, table in shared_tables.items()
    }
    source = show(tables, tmp_path)
    for markup in ("<script>mine", "<i>b"):
        assert markup not in source
    words = Page(source).words
    for name in ("<script>mine</script>", "a&<i>b</i>"):
        assert name in words


def test_a_run_of_one_method_on_one_task_has_a_page(new_run, tmp_path):
    new_run.add_task("mine.x", {"train": 90, "test": 100}, simulated=False)
    new_run.add_model("ours")
    new_run.add_result("probe", "ours", "mine.x", [0.7, 0.8])
    words = Page(make(new_run, tmp_path)).words
    assert "What ran: ours on 1 task by probe, beside no baselines." in words
    assert "No trained model was run beside its untrained self" in words
    assert "No model was both probed and fine-tuned" in words
    assert "None of these tasks has a published value" in words


def test_at_most_ten_methods_are_drawn_and_none_shares_its_looks(run):
    for number in range(8):
        run.add_model(f"model-{number}")
        run.add_result("ia3", f"model-{number}", "simulated.promoters", [0.8, 0.8, 0.8])
    series = plan(run.tables()["summary"], {"small.untrained": "small"})
    assert len(series) == LARGEST
    hollow = [s for s in series if s.fill == "#ffffff"]
    assert [s.label for s in hollow] in ([], ["small, untrained · probe"])


def test_a_run_of_baselines_alone_has_a_page(new_run, tmp_path):
    new_run.add_task("mine.x", {"train": 90, "test": 100}, simulated=False)
    new_run.add_result("baseline", "kmers", "mine.x", [0.7, 0.8])
    page = Page(make(new_run, tmp_path))
    assert "No model was trained in this run" in page.words
    assert "No corpus was laid out in this run" in page.words
    assert "What ran: no models on 1 task, beside 1 baseline." in page.words
    assert "k-mer counts" in page.words


def test_an_unknown_statistic_is_refused(shared_tables):
    config = replace(CONFIG, statistic="median")
    with pytest.raises(InputError, match=r"report\.statistic: 'median' is not allowed"):
        make_page(shared_tables, None, config, MADE, [])


def test_methods_stand_beside_each_other_with_what_they_cost():
    rows = [
        ["a.x", "probe of m", 0.5, 3.0, None, None, None, None],
        ["a.x", "LoRA of m", 0.625, 120.0, 1_000, 100_000, 2_500.0, "GPU"],
        [
            "b.y",
            "probe of m",
            0.25,
            4.0,
            None,
            None,
            None,
            None,
        ],  # nothing was fine-tuned on this task
    ]
    columns = ["task", "series", "score_mean", "seconds", "trained_parameters", "all_parameters"]
    columns += ["peak_memory_mb", "memory_of"]
    grid = costs_grid(pd.DataFrame(rows, columns=columns).assign(metric="mcc", mark=""))
    assert grid.rows == [
        ["a.x", "probe of m", "MCC", "0.500", "3.0 s", "–", "–", "–"],
        ["a.x", "LoRA of m", "MCC", "0.625", "2.0 min", "2.5 GB (GPU)", "1 k", "1.00%"],
    ]


def test_of_very_many_pairs_of_methods_those_with_the_choice_are_shown(monkeypatch):
    """Three methods on one task: of three pairs two hold the choice."""
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    comparisons = pd.DataFrame(
        [
            {"task": "t", "against": "another", "method": "probe", "model": one}
            | {"reference_method": "probe", "reference": other}
            for one, other in pairs
        ]
        + [
            {"task": "t", "against": "k-mers", "method": "probe", "model": "c"}
            | {"reference_method": "baseline", "reference": "kmers"}
        ]
    )
    choices = pd.DataFrame([{"task": "t", "method": "probe", "model": "a"}])
    assert len(with_choices(comparisons, choices)) == 4
    monkeypatch.setattr(comparison_grids, "MAX_PAIRS", 2)
    shown = with_choices(comparisons, choices)
    assert list(zip(shown["model"], shown["reference"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("c", "kmers"),
    ]
