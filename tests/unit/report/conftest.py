"""A small run with planted scores, written in the formats of the other stages."""

import json
import os
import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.scoring.results import Result, prediction_rows, write_result
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.files import write_json
from dnalm.report.tables.assembly import make_tables
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.records import Identities, read_results
from dnalm.report.tables.sources import read_sources
from dnalm.report.tables.verdicts.published_scores import read_published

PUBLISHED = Path(__file__).parents[3] / "resources" / "published_scores.tsv"
STATISTICS = Statistics(
    bootstrap=BootstrapConfig(draws=200, seed=1, level=0.95),
    correction="holm",
    leak="overlap",
    equal=0.02,
)
LAYERS = 4
ENCODER = {
    "layers": LAYERS,
    "heads": 2,
    "width": 8,
    "ffn_width": 16,
    "positions": "rotary",
    "feed_forward": "swiglu",
    "ffn_bias": False,
    "max_tokens": 2048,
    "vocabulary_size": 4107,
    "pad_id": 1,
    "mask_id": 2,
    "token_dropout": None,
    "dropout": 0.0,
    "layer_norm_eps": 1e-5,
    "initialisation": "haiku",
}


def move(value, old, new):
    """Return a copy of nested values in which paths below one folder are those below another."""
    if isinstance(value, dict):
        return {key: move(one, old, new) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(move(one, old, new) for one in value)
    if isinstance(value, str) and value.startswith(f"{old}{os.sep}"):
        return str(new) + value.removeprefix(str(old))
    return value


@dataclass
class Run:
    """Contents and files of a run, planted one by one."""

    folder: Path
    results: list = field(default_factory=list)
    tasks: dict = field(default_factory=dict)
    genomes: list = field(default_factory=list)
    corpora: list = field(default_factory=list)
    kmer_counts: dict = field(default_factory=dict)
    panels: list = field(default_factory=list)
    panel_samples: dict = field(default_factory=dict)
    groups: dict = field(default_factory=dict)
    runs: list = field(default_factory=list)
    embedders: list = field(default_factory=list)
    histories: dict = field(default_factory=dict)
    locations: dict = field(default_factory=dict)
    models: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)
    baselines: list = field(default_factory=list)
    methods: dict = field(default_factory=dict)
    audits: dict = field(default_factory=dict)

    def copy(self, folder):
        """Return this run with files of its own, in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        moved = {
            one.name: move(getattr(self, one.name), self.folder, folder) for one in fields(self)
        }
        return Run(**moved | {"folder": folder})

    def add_task(
        self,
        name,
        rows,
        published_as=None,
        published=None,
        shuffled=False,
        simulated=True,
        pooling="mean",
        kind="binary",
        classes=2,
        counts=None,
        category=None,
    ):
        """Plant a task; `counts` are what its JSON holds for labels that are no classes of rows."""
        self.names[name] = {
            "published_as": published_as,
            "pooling": pooling,
            "category": category,
        }
        halves = {split: [n // 2, n - n // 2] for split, n in rows.items()}
        self.tasks[name] = {
            "name": name,
            "kind": kind,
            "classes": classes,
            "rows": rows,
            "rows_per_class": halves,
            "bases_per_class": None,
            "targets": None,
            **(counts or {}),
            "lengths": {"min": 300, "median": 300.0, "max": 300},
            "duplicates": {"within_train": 3, "within_test": 1, "across": 2},
            "iupac_replaced": 0,
            "letters_masked": 0,
            "uracil_read_as_t": 0,
            "rows_without_label": 0,
            "rows_with_other_letters": 0,
            "cross_validation": {"scheme": "kfold", "splits": 3, "group": None, "groups": None},
            "published_rows": published,
            "published_rows_match": None,
            "shuffled_labels": shuffled,
            "simulated": simulated,
            "build": None,
            "sources": [{"role": "train", "path": "in/train.csv", "sha256": "a" * 64}],
            "sha256": "b" * 64,
        }

    def add_result(self, method, model, task, accuracies, seed=0, grid=None, losses=None):
        """Plant a share of right predictions per fold; wrong ones are drawn at random rows."""
        rows, random = self.tasks[task]["rows"]["test"], np.random.default_rng(seed)
        labels, outputs = np.arange(rows) % 2, []
        for accuracy in accuracies:
            wrong = random.random(rows) >= accuracy
            predicted = np.where(wrong, 1 - labels, labels)
            outputs.append(np.stack([1 - predicted, predicted], axis=1) * 0.8 + 0.1)
        self.add_outputs(method, model, task, labels, outputs, grid, losses)

    def add_outputs(self, method, model, task, labels, outputs, grid=None, losses=None):
        """Plant what each fold gives for the test rows, as `predict` returns it.

        `losses` are those of fine-tuning, alike in every fold.
        """
        task_kind = self.tasks[task]["kind"]
        cells = list(labels) if labels.ndim > 1 else labels
        test = pd.DataFrame({"id": [f"test.{i}" for i in range(len(labels))], "label": cells})
        frames, scores = [], []
        for fold, output in enumerate(outputs):
            predicted = find_kind(task_kind).decide(output)
            shares = None if task_kind == "regression" else output
            scores.append({"fold": fold, **score(labels, predicted, shares, task_kind)})
            frames.append(prediction_rows(test, fold, predicted, shares))
        stem = self.folder / f"{method}-{model}-{task}"
        paths = {
            "scores": f"{stem}.tsv",
            "summary": f"{stem}.json",
            "predictions": f"{stem}.parquet",
        }
        kind = "baseline" if method == "baseline" else "model"
        identity = {"method": method, kind: model, "task": task, "kind": task_kind}
        identity |= {"task_sha256": "b" * 64, "weights_sha256": "c" * 64}
        if method == "probe" and not model.endswith(".untrained"):
            identity["embeddings"] = {"strands": "both", "precision": "bf16", "dtype": "float16"}
        steps = {"steps": [10 * len(losses if losses is not None else ())] * len(outputs)}
        if losses is not None:
            identity |= {"trained_parameters": 2_000, "all_parameters": 50_000, "cropped_rows": 7}
            identity["peak_memory"] = {"of": "process", "bytes": [2_000_000] * len(outputs)}
        result = Result(
            selected={"feature": "layer.2", "penalty": 0.01} if losses is None else steps,
            edge=False,
            grid=grid if grid is not None else [],
            scores=pd.DataFrame(scores),
            predictions=pd.concat(frames),
            seconds=1.5,
            not_converged=0,
            fitted={},
            computed={},
        )
        write_result(result, identity, **paths)
        if losses is not None:
            rows = [
                {"fold": fold, "step": 10 * (step + 1), "train_loss": loss, "validation_mcc": 0.0}
                for fold in range(len(outputs))
                for step, loss in enumerate(losses)
            ]
            paths["history"] = f"{stem}.history.tsv"
            pd.DataFrame(rows).to_csv(paths["history"], sep="\t", index=False)
        self.results.append(paths)
        if kind == "baseline" and model not in self.baselines:
            self.baselines.append(model)

    def keep_steps(self, history, steps):
        """Give the result that was planted last this history, of which it kept these steps."""
        files = self.results[-1]
        files["history"] = str(history)
        summary = json.loads(Path(files["summary"]).read_text())
        write_json(files["summary"], summary | {"selected": {"steps": steps}})

    def add_model(self, name, published_as=None, untrained_of=None, history=None, corpus="toy"):
        self.models[name] = {"published_as": published_as, "untrained_of": untrained_of}
        self.runs.append({"model": name, "encoder": ENCODER, "corpus": corpus})
        if history:
            path = self.folder / f"{name}.history.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in history))
            self.histories[name] = str(path)

    def add_corpus(self, simulated=True):
        genome = {"name": "toygenome", "accession": None, "source": "simulated", "sha256": "d" * 64}
        genome |= {"bases": 1_000_000, "n": 10_000, "soft_masked": 250_000, "simulated": simulated}
        self.genomes.append(genome | {"md5": "e" * 32, "iupac": 7, "contigs": 3})
        contigs = [
            {"contig": c, "start": 0, "length": 1000, "split": s, "windows": 9, "dropped_tail": 0}
            for c, s in (("chr1", "train"), ("chr2", "validation"), ("chr3", "test"))
        ]
        counts = {"contigs": 1, "windows": 9, "bases": 1000, "tokens": 1500}
        self.add_counts(6)
        self.corpora.append(
            {
                "name": "toy",
                "k": 6,
                "vocabulary": "v2",
                "max_tokens": 128,
                "tokens": 128,
                "windows": {"length": 900, "stride": 800, "start_max": 50},
                "min_kmers": 10,
                "simulated": simulated,
                "genomes": [genome | {"contigs": contigs}],
                "splits": {split: dict(counts) for split in ("train", "validation", "test")},
            }
        )

    def add_counts(self, k, counts=None, corpus="toy"):
        """Plant the k-mer counts of a corpus; all 10 if not given."""
        path = self.folder / f"{corpus}.kmer_counts.npy"
        np.save(path, np.full(4**k, 10) if counts is None else np.asarray(counts, dtype=np.int64))
        self.kmer_counts[corpus] = str(path)

    def set_k(self, k):
        """Make the only corpus one of k-mers of another length."""
        self.corpora[0]["k"] = k
        self.add_counts(k)

    def add_panel(self, name, samples, ignored=None):
        """Plant a panel: (sample, population, superpopulation, variants per kind) per sample.

        Its second haplotypes carry one SNV more. The corpus reads it.
        """
        rows = [
            [sample, population, superpopulation, haplotype, snvs + haplotype - 1, *others]
            for sample, population, superpopulation, (snvs, *others) in samples
            for haplotype in (1, 2)
        ]
        columns = ["sample", "population", "superpopulation", "haplotype"]
        columns += ["snvs", "insertions", "deletions", "others"]
        path = self.folder / f"{name}.samples.tsv"
        pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
        self.panel_samples[name] = str(path)
        facts = {"records": 900, "variants": 800, "alleles": 2000, "store_bytes": 3000}
        facts |= {"haploid_calls": 12, "missing_alleles": 34}
        facts |= {"ignored": {"breakend": 100} if ignored is None else ignored}
        contig = facts | {"vcf_contig": "1", "seconds": 1.0}
        facts |= {"panel": name, "genome": "toygenome", "contigs": {"chr1": contig}}
        self.panels.append(facts | {"samples": len(samples), "haplotypes": len(rows)})
        self.corpora[0]["haplotypes"] = {"panel": name, "draw": "random"}

    def add_locations(self, task, places, overlaps, train=0, other_fold=0, corpus="toy"):
        """Plant where test rows lie: a part of the corpus, "unsplit" (found on a contig of none)
        or None (found nowhere); `train` training rows were found too, the first `other_fold` of
        them beside one of another fold."""
        places = [*places, *["train"] * train]
        tests = len(places) - train
        table = pd.DataFrame(
            {
                "id": [f"test.{i}" for i in range(tests)] + [f"train.{i}" for i in range(train)],
                "genome": [None if place is None else "toygenome" for place in places],
                "contig": [None if place is None else "chr1" for place in places],
                "start": 0,
                "end": 300,
                "strand": "+",
                "pretraining_split": [None if place == "unsplit" else place for place in places],
                "overlaps_train": [*overlaps, *[False] * train],
            }
        )
        table["overlaps_other_fold"] = np.arange(len(table)) - tests < other_fold
        table.loc[: tests - 1, "overlaps_other_fold"] = False
        path = self.folder / f"{corpus}.{task}.locations.parquet"
        write_parquet(table, path, {"corpus": corpus, "task": task})
        self.locations.setdefault(corpus, {})[task] = str(path)

    def add_audit(self, task, relations=None, contigs=None, other_labels=0, repeats=0, too_short=0):
        """Plant the relations of test rows to training rows; none if not given."""
        tests = self.tasks[task]["rows"]["test"]
        relations = [*(relations or []), *["none"] * (tests - len(relations or []))]
        ids = [f"test.{i}" for i in range(tests)] + ["train.0"]
        path = self.folder / f"{task}.rows.parquet"
        rows = pd.DataFrame({"id": ids, "relation": [*relations, "identical"]})
        rows = rows.assign(partner=None, overlap=0, identity=0.0, strand=None)
        write_parquet(rows, path, {"task": task})
        related = ("identical", "near", "overlap")
        others = dict.fromkeys(related, 0)
        strengths = {"gc": 0.25, "length": 0.125, "strand": 0.5}
        summary = {
            "task": task,
            "rows": self.tasks[task]["rows"],
            "test_in_train": {name: relations.count(name) for name in related},
            "train_in_other_folds": others | {"near": 9},
            "within_train": others | {"identical": 18},
            "within_test": others,
            "other_labels": other_labels,
            "repeats_not_followed": repeats,
            "too_short": too_short,
            "confounding": {name: {"strength": value} for name, value in strengths.items()},
            "contigs": contigs,
        }
        self.audits[task] = (summary, str(path))

    def identities(self):
        return Identities(
            models=self.models,
            tasks=self.names,
            baselines=self.baselines,
            genomes=[genome["name"] for genome in self.genomes],
            corpora=[corpus["name"] for corpus in self.corpora],
            panels=[panel["panel"] for panel in self.panels],
            methods=self.methods,
            species={genome["name"]: "Homo exemplaris" for genome in self.genomes},
            groups=self.groups,
        )

    def list_files(self):
        """Write the contents as JSON and return the paths of each kind."""
        for task in self.tasks.keys() - self.audits.keys():
            self.add_audit(task)
        contents = {
            "tasks": list(self.tasks.values()),
            "audits": [self.audits[task][0] for task in self.tasks],
            **{kind: getattr(self, kind) for kind in ("genomes", "corpora", "panels", "runs")},
            "embedders": self.embedders,
        }
        files = {}
        for kind, values in contents.items():
            files[kind] = [str(self.folder / f"{kind}-{i}.json") for i in range(len(values))]
            for path, value in zip(files[kind], values, strict=True):
                write_json(path, value)
        return files

    def name_files(self):
        """Return the files that rules name."""
        return {
            "audit_rows": {task: path for task, (_, path) in self.audits.items()},
            "kmer_counts": self.kmer_counts,
            "panel_samples": self.panel_samples,
            "histories": self.histories,
            "locations": self.locations,
        }

    def tables(self, statistics=STATISTICS):
        listed, identities = self.list_files(), self.identities()
        return make_tables(
            read_results(self.results, identities),
            read_sources(listed, self.name_files(), identities),
            read_published(PUBLISHED),
            identities,
            statistics,
        )


def history(steps=60, every=10):
    """Loss falls from 8.3; the unigram baseline is 7.9; validation lines come every 10
    steps, that of the test after the last."""
    rows = []
    for step in range(1, steps + 1):
        loss = 7.2 + 1.1 * np.exp(-step / 20)
        row = {"step": step, "tokens": step * 1000, "loss": loss - 0.5, "accuracy": 0.1}
        row |= {"loss_mask": loss, "accuracy_mask": 0.02, "loss_random": 9.0, "lr": 1e-3}
        row |= {"accuracy_random": 0.0, "loss_kept": 1.0, "accuracy_kept": 0.9, "mfu": None}
        if step % every == 0:
            row |= {"validation_loss": loss - 0.4, "validation_accuracy": 0.09}
            row |= {"validation_loss_mask": loss + 0.1, "validation_accuracy_mask": 0.015}
            row |= {"validation_unigram_loss": 7.9, "validation_unigram_accuracy": 0.004}
        if step == steps:
            row |= {"test_loss": loss - 0.3, "test_accuracy": 0.08}
            row |= {"test_loss_mask": loss + 0.2, "test_accuracy_mask": 0.013}
            row |= {"validation_context": context(loss + 0.1, order=0.2, composition=0.1)}
        rows.append(row)
    return rows


def context(loss, order, composition, windows=40, spread=0.05):
    """What `Evaluation.measure_context` gives: windows of 10 masks that differ by `spread`."""
    extra = spread * np.sin(np.arange(windows))
    own = np.full(windows, loss) + np.cos(np.arange(windows))
    sums = {"own": own, "shuffled": own + order + extra, "tempered": own + 0.3}
    sums["foreign"] = sums["shuffled"] + composition + extra[::-1]
    sums = {name: (10 * values).tolist() for name, values in sums.items()}
    return {"exponents": [0.5, 0.45], "windows": {"masked": [10] * windows, **sums}}


def layer_grid(best, penalties=(0.01, 1.0)):
    """Layer i scores 0.1·i at the penalty `best` and 0.05 less at others."""
    return [
        {
            "feature": f"layer.{i}",
            "penalty": penalty,
            "validation_mcc_mean": 0.1 * i - (0.05 if penalty != best else 0.0),
            "validation_mcc_sd": 0.02,
        }
        for i in range(1, LAYERS + 1)
        for penalty in penalties
    ]


@pytest.fixture
def new_run(tmp_path):
    """Return an empty run."""
    return Run(folder=tmp_path)


@pytest.fixture
def published_run(new_run):
    """Return a run on a published data set: a model of our own, and one that was published."""
    rows = {"train": 13468, "test": 1497}
    new_run.add_corpus(simulated=False)
    new_run.add_task("mine.H3", rows, "original.H3", rows, simulated=False)
    new_run.add_model("ours")
    new_run.add_model("big", published_as="NT-v2-Multispecies-500M")
    new_run.add_result("ia3", "ours", "mine.H3", [0.8, 0.8])
    new_run.add_result("ia3", "big", "mine.H3", [0.8, 0.8])
    return new_run


def fill(new_run):
    """Make a simulated run: two tasks and a control, one model and its untrained self."""
    new_run.add_corpus()
    new_run.add_task("simulated.promoters", {"train": 900, "test": 400})
    new_run.add_task("simulated.enhancers", {"train": 900, "test": 400}, pooling="centre")
    new_run.add_task("simulated.shuffled", {"train": 900, "test": 400}, shuffled=True)
    new_run.add_model("small", history=history())
    new_run.add_model("small.untrained", untrained_of="small")
    planted = {
        ("probe", "small"): {"simulated.promoters": 0.9, "simulated.enhancers": 0.7},
        ("probe", "small.untrained"): {"simulated.promoters": 0.7, "simulated.enhancers": 0.7},
        ("ia3", "small"): {"simulated.promoters": 0.92, "simulated.enhancers": 0.72},
        ("baseline", "kmers"): {"simulated.promoters": 0.8, "simulated.enhancers": 0.9},
        ("baseline", "gc_content"): {"simulated.promoters": 0.6, "simulated.enhancers": 0.6},
    }
    for number, ((method, model), tasks) in enumerate(planted.items()):
        for task, accuracy in (tasks | {"simulated.shuffled": 0.5}).items():
            grid = layer_grid(0.01) if method == "probe" else []
            losses = [0.7, 0.6, 0.5] if method == "ia3" else None
            new_run.add_result(
                method, model, task, [accuracy] * 3, seed=number, grid=grid, losses=losses
            )
    places = ["train"] * 200 + ["validation"] * 100 + ["unsplit"] * 20 + [None] * 80
    overlaps = [True] * 40 + [False] * 360
    new_run.add_locations("simulated.promoters", places, overlaps, train=300, other_fold=30)
    return new_run


@pytest.fixture(scope="session")
def planted_run(tmp_path_factory):
    """Return the simulated run, of which others are copies: its scores are made once."""
    return fill(Run(folder=tmp_path_factory.mktemp("planted")))


@pytest.fixture
def run(planted_run, tmp_path):
    """Return the simulated run, to be changed."""
    return planted_run.copy(tmp_path)


@pytest.fixture(scope="session")
def shared_run(planted_run, tmp_path_factory):
    """Return the simulated run, to be read only."""
    return planted_run.copy(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def shared_tables(shared_run):
    """Return the tables of the simulated run, to be read only."""
    return shared_run.tables()
