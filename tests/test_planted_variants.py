"""Planted truth and planted null: variants that break motifs of a genome a model has read.

The genome is random letters with copies of a few motifs. Variants within copies on a contig that
was held out are to be found among variants between them. Where labels are shuffled, or positives
are as much between motifs as negatives are, no score may find them.
"""

import gzip
import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.variants.prioritisation.evaluation import EvaluationConfig, evaluate
from dnalm.variants.prioritisation.results import read_scores, read_set

pytestmark = pytest.mark.slow

MOTIFS = ("ACGGATTCACGTTAGCCA", "TTGCATGCAAGCGTACTG", "GGCTAACCTTGATCAGGA")
SPACING = (20, 50)  # bases between copies
LENGTHS = {"train": 300_000, "validation": 20_000, "test": 60_000}
PLANTED, BETWEEN, NULL = 150, 450, 1_200
SEEDS = 100
CONFIGURATION = {
    "run": {"models": ["planted"], "tasks": [], "baselines": ["untrained"], "locate_tasks": False},
    "pathvars": {"results": "results/planted"},
    "genomes": {"planted": {"species": "planted", "path": "planted.fa"}},
    "corpora": {
        "planted": {
            "genomes": ["planted"],
            "windows": {"length": 132, "stride": 66, "start_max": 4},
            "split": {"by": "contig", "validation": ["validation"], "test": ["test"]},
            "k": 4,
            "vocabulary": "v2",
            "max_tokens": 33,
        }
    },
    "corpus": {"min_kmers": 16, "evaluation_windows": 100},
    "model": {
        "initialisation": "normal",
        "presets": {
            "tiny": {"generation": "v2", "layers": 2, "heads": 4, "width": 64}
            | {"ffn_width": 256, "max_tokens": 33}
        },
    },
    "models": {"planted": {"preset": "tiny", "corpus": "planted"}},
    "pretrain": {
        "batch_sequences": 32,
        "tokens": 2_000_000,
        "schedule": {"initial": 1e-5, "peak": 3e-3, "warmup_steps": 50},
        "precision": "float32",
    },
    "operation": {"micro_batch": 32, "threads": 1, "workers": 1, "log_every": 50}
    | {"validate_every": 1000, "checkpoint_every": 1000, "tensorboard": False},
    "variant": {"scores": ["cosine", "l2", "l2_token", "llr", "loss_difference"]},
    "variants": {
        name: {
            "vcf": f"{name}.vcf",
            "genome": "planted",
            "models": ["planted", "planted.untrained"],
        }
        | {"label": {"info": "PLANTED", "positive": ["1"], "negative": ["0"]}}
        for name in ("truth", "null")
    },
    "variant_benchmark": {"bootstrap": {"draws": 500}},
}


def plant_contig(length: int, random: np.random.Generator) -> tuple[str, np.ndarray]:
    """Return random letters with motifs in them, and which of the bases are of a motif."""
    letters, inside, at = random.choice(list("ACGT"), length), np.zeros(length, dtype=bool), 0
    while (at := at + int(random.integers(*SPACING))) + 20 < length:
        motif = MOTIFS[int(random.integers(len(MOTIFS)))]
        letters[at : at + len(motif)], inside[at : at + len(motif)] = list(motif), True
        at += len(motif)
    return "".join(letters), inside


def plant_genome(path, random: np.random.Generator) -> dict[str, tuple[str, np.ndarray]]:
    """Write contigs of LENGTHS, and return what `plant_contig` made of each."""
    contigs = {name: plant_contig(length, random) for name, length in LENGTHS.items()}
    path.write_text("".join(f">{name}\n{letters}\n" for name, (letters, _) in contigs.items()))
    return contigs


def write_variants(path, letters, positions, planted, random):
    header = '##fileformat=VCFv4.2\n##INFO=<ID=PLANTED,Number=1,Type=Integer,Description="p">\n'
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    rows = []
    for at, label in sorted(zip(positions, planted, strict=True)):
        alt = random.choice([base for base in "ACGT" if base != letters[at]])
        rows.append(f"test\t{at + 1}\t.\t{letters[at]}\t{alt}\t.\t.\tPLANTED={int(label)}\n")
    path.write_text(header + "".join(rows))


@dataclass(frozen=True)
class Run:
    """The folder of the results of a run of the workflow."""

    folder: object

    def evaluation(self, name: str) -> dict:
        return json.loads((self.folder / f"variant_benchmarks/{name}/evaluation.json").read_text())

    def rows(self, name: str, model: str) -> dict:
        found = self.evaluation(name)["metrics"]
        return {r["score"]: r for r in found if r["model"] == model and r["subset"] == "all"}


@pytest.fixture(scope="module")
def run(make_workflow):
    random = np.random.default_rng(1)
    workflow = make_workflow()
    contigs = plant_genome(workflow.folder / "planted.fa", random)
    letters, inside = contigs["test"]
    within, outside = np.flatnonzero(inside), np.flatnonzero(~inside)
    outside = outside[(outside > 200) & (outside < len(letters) - 200)]
    within = within[(within > 200) & (within < len(letters) - 200)]
    drawn = random.permutation(outside)
    chosen = np.concatenate([random.choice(within, PLANTED, replace=False), drawn[:BETWEEN]])
    labels = np.arange(len(chosen)) < PLANTED
    write_variants(workflow.folder / "truth.vcf", letters, chosen, labels, random)
    # The planted ones moved out of their motifs: both labels lie between motifs.
    moved = drawn[BETWEEN : BETWEEN + NULL]
    labels = random.random(NULL) < 0.3
    write_variants(workflow.folder / "null.vcf", letters, moved, labels, random)
    (workflow.folder / "planted.yaml").write_text(yaml.safe_dump(CONFIGURATION))
    done = workflow.run("variants", "--configfile", "planted.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    return Run(workflow.folder / "results/planted")


def test_scores_of_a_trained_model_find_what_breaks_a_motif_and_untrained_ones_do_not(run):
    trained, untrained = (run.rows("truth", model) for model in ("planted", "planted.untrained"))
    for score in ("llr", "loss_difference"):
        assert trained[score]["auroc"] > 0.9
        assert trained[score]["auroc_low"] > untrained[score]["auroc_high"]
    for name, row in untrained.items():
        assert abs(row["auroc"] - 0.5) < 0.12, name


def test_a_score_that_goes_the_wrong_way_is_told_so_and_not_turned(run):
    # Within a motif the model puts the lost base back from its context: vectors change less there.
    row = run.rows("truth", "planted")["l2_token"]
    assert row["sign"] == 1
    assert row["auroc_high"] < 0.3
    page = (run.folder / "variants.html").read_text()
    assert "l2_token the wrong way round" in page


def test_paired_differences_say_that_training_is_what_finds_them(run):
    pairs = run.evaluation("truth")["differences"]
    (own,) = [
        row
        for row in pairs
        if row["metric"] == "auroc"
        and (row["score"], row["reference_score"]) == ("llr", "llr")
        and (row["model"], row["reference_model"]) == ("planted", "planted.untrained")
    ]
    assert own["low"] > 0.2
    assert own["p_adjusted"] < 1e-4


def share_of_rejections(values, labels_of, contigs):
    """Return in how many of SEEDS the interval of each score's AUROC leaves 0.5 out."""
    config = EvaluationConfig(
        bootstrap=BootstrapConfig(draws=300, seed=0, level=0.95),
        correction="none",
        min_class=10_000,
        chromosome_draws=2,
    )
    rejected = dict.fromkeys((score.name for score in values), 0)
    for seed in range(SEEDS):
        labels, rows = labels_of(np.random.default_rng(seed))
        for score in values:
            own = replace(score, values=score.values[rows])
            found = evaluate(labels, [own], [], contigs[rows], config)
            row = found["metrics"][0]
            rejected[score.name] += not row["auroc_low"] <= 0.5 <= row["auroc_high"]
    return rejected


@pytest.mark.parametrize("how", ["shuffled", "moved"])
def test_without_planted_variants_every_score_is_within_chance_over_many_seeds(run, how):
    name = "truth" if how == "shuffled" else "null"
    variants = read_set(run.folder / f"variant_benchmarks/{name}/labels.parquet")
    scores = read_scores(run.folder / f"variants/{name}/planted.parquet", variants).scores
    truth = variants["label"].to_numpy(dtype=bool)

    def shuffled(random):
        return random.permutation(truth), np.arange(len(truth))

    def moved(random):
        rows = random.choice(len(truth), PLANTED + BETWEEN, replace=False)
        return np.arange(len(rows)) < PLANTED, rows

    labels_of = shuffled if how == "shuffled" else moved
    rejected = share_of_rejections(scores, labels_of, variants["chrom"].to_numpy(dtype=str))
    assert len(rejected) == 5
    for score, count in rejected.items():
        assert binomtest(count, SEEDS, 0.05).pvalue > 0.001, score


def test_the_files_of_scores_hold_a_row_for_each_planted_variant(run):
    table = pd.read_parquet(run.folder / "variants/truth/planted.parquet")
    assert len(table) == PLANTED + BETWEEN
    assert table["skip"].isna().all()
    with gzip.open(run.folder / "variants/truth/planted.vcf.gz", "rt") as file:
        assert sum(not line.startswith("#") for line in file) == PLANTED + BETWEEN
