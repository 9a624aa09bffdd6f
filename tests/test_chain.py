"""The whole chain on a tiny simulated genome: it runs, rests, and reruns only what it must."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pybigtools
import pysam
import pytest
import random_transformers
import toy_embedder
from conftest import Workflow

from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_sequence

TINY = ("--configfile", "tests/config.yaml", "tests/tiny.yaml")
RESULTS = "results/tiny"
MODEL = "tiny"
# What the last line of each rule's log says.
LAST_LINES = {
    "audit_task": r"audited simulated\.\w+: of \d+ test rows \d+ identical, .* \d+ pairs",
    "build_corpus": r"corpus simulated of 1 genomes: [\d,]+ train windows",
    "describe_operation": r"operation\.json: \d+ settings are written",
    "describe_run": r"run\.json: \d+ settings are written",
    "embed_task": r"\.safetensors: 3 layers of \d+ rows, 64 numbers each",
    "encode_genome": r"simulated: [\d,]+ bases in 4 contigs",
    "estimate_models": r"estimates\.tsv: \d+ layouts of 1 models",
    "estimate_stages": r"stages\.tsv: \d+ stages, methods and models",
    "export_model": r"tiny is exported for ",
    "finetune_task": r"ia3 tiny on simulated\.\w+: test mcc [-.\d]+, the mean of 3 splits",
    "initialise_model": r"weights\.safetensors: [\d,]+ weights in \d+ tensors",
    "locate_task": r"\d+ of \d+ rows were found in 1 genomes",
    "make_partial_report": r"report_partial\.html: [\d,]+ letters",
    "make_report": r"report\.json: [\d,]+ letters",
    "make_tables": r"\.tsv: \d+ rows",
    "make_task": r"simulated\.\w+, binary: \d+ train rows, \d+ test rows",
    "predict_sequences": r"predict: \d+ rows in ",
    "pretrain": r"tiny: trained weights are in .*weights\.safetensors",
    "probe_mlp": r"mlp tiny.* on simulated\.\w+: test mcc [-.\d]+, the mean of 3 splits",
    "probe_task": r"probe tiny.* on simulated\.\w+: test mcc [-.\d]+, the mean of 3 splits",
    "score_baselines": r"baseline \w+ on simulated\.\w+: test mcc [-.\d]+, the mean of 3 splits",
    "search_genomes": r"\d+ of \d+ different sequences have a place",
    "simulate_genome": r"simulated 4 contigs with \d+ genes, \d+ enhancers and \d+ clusters",
    "summarise_pretraining": r"pretrain_summary\.html: [\d,]+ letters",
    "write_model_card": r"the card of tiny has \d+ scores",
    "train_network": r"baseline bpnet on simulated\.\w+: test mcc [-.\d]+, the mean of 3 splits",
    "write_fasta": r"write FASTA: [\d,]+ bases in ",
    "write_token_shards": r"write shards: [\d,]+ windows in ",
}

# Of interpretation, which the run does not ask for.
OF_INTERPRETATION = {
    "choose_snps": r"people\.parquet: \d+ haplotypes at \d+ SNPs",
    "compare_heads": r"tiny\.tsv: of \d+ tests of heads \d+ are significant by shifts",
    "count_attention": r"tiny\.counts\.npy: [\d,]+ bytes of counts",
    "lay_windows": r"genes\.parquet: \d+ windows of 180 bases",
    "make_interpretation": r"interpretation\.html: [\d,]+ letters",
    "map_elements": r"tiny\.json: maps of 1 layers, \d+ windows",
    "reconstruct_windows": r"tiny\.tsv: \d+ masked tokens were predicted",
    "score_assay": r"tiny\.tsv: \d+ of \d+ variants are scored",
    "write_tracks": r"tiny\.frame1: probabilities of [\d,]+ bases on 1 contigs",
    "score_snps": r"tiny\.tsv: \d+ masked SNPs were predicted",
}


@pytest.fixture(scope="module")
def finished(tiny_run):
    """A copy of the workflow in which the tiny configuration has run to its report."""
    return tiny_run.workflow


def overlay(workflow, text):
    path = workflow.folder / "change.yaml"
    path.write_text(text)
    return (*TINY, str(path))


def test_the_chain_ends_in_a_report_with_every_method(finished):
    page = (finished.folder / RESULTS / "report.html").read_text()
    assert "Simulated data" in page
    scores = pd.read_csv(finished.folder / RESULTS / "tables/scores.tsv", sep="\t")
    ran = set(scores["method"] + " " + scores["model"])
    assert ran == {
        *(
            f"baseline {name}"
            for name in ("majority", "gc_content", "kmers", "one_hot", "token_ids", "bpnet")
        ),
        *(f"{kind} {name}" for kind in ("probe", "mlp") for name in (MODEL, f"{MODEL}.untrained")),
        f"ia3 {MODEL}",
    }


def test_what_killed_jobs_would_go_on_from_is_gone_after_a_run(finished):
    results = finished.folder / RESULTS
    assert not list(results.rglob("partial"))


def test_the_log_of_every_job_ends_with_what_was_done(finished):
    more = ("exports", "estimates", "token_shards", "report_partial")
    done = finished.run(*more, f"{RESULTS}/genomes/simulated/genome.fa", *TINY)
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS / "logs"
    logs = list(folder.rglob("*.log"))
    rules = {path: path.relative_to(folder).with_suffix("").parts[0] for path in logs}
    assert set(rules.values()) == LAST_LINES.keys()
    for path, rule in rules.items():
        *_, last = ["", *path.read_text().splitlines()]
        assert re.search(LAST_LINES[rule], last), f"{path}: {last}"


def test_a_second_run_has_nothing_to_do(finished):
    done = finished.run(*TINY)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


@pytest.mark.parametrize(
    ("change", "reruns"),
    [
        ("report: {title: Another}", {"make_report"}),
        ("probe: {penalties: [0.01]}", {"probe_task", "score_baselines", "make_tables"}),
        ("embed: {layers: [1]}", {"embed_task", "probe_task", "probe_mlp"}),
        ("mlp: {trials: 3}", {"probe_mlp", "make_tables"}),
        ("predictions: {contigs: {strands: both}}", {"predict_sequences"}),
        ("operation: {workers: 2, validate_every: 3}", set()),
        ("finetune: {methods: {ia3: {steps: 3}}}", {"finetune_task"}),
        ("baselines: {bpnet: {steps: 3}}", {"train_network", "make_tables"}),
        (
            "genomes: {other: {path: x.fa}}\n"
            "tasks: {mine.x: {path: {train: a.csv, test: b.csv}, kind: binary, classes: 2}}",
            set(),
        ),
    ],
)
def test_a_change_behind_the_model_never_trains_it_again(finished, change, reruns):
    plan = finished.plan(*overlay(finished, change))
    assert reruns <= plan.keys()
    assert not {"pretrain", "build_corpus", "encode_genome"} & plan.keys()


@pytest.mark.parametrize(
    ("change", "spared"),
    [
        (
            "embed: {layers: [1], strands: both, dtype: float16, export: [parquet]}",
            {"finetune_task", "train_network"},
        ),
        # What is lowered where memory ran out decides no result.
        ("embed: {batch_tokens: 99, shard_rows: 9}", None),
        ("prediction: {batch_tokens: 99, block_rows: 9}", None),
        ("predictions: {genes: {batch_tokens: 99}}", None),
    ],
)
def test_what_does_not_read_a_setting_is_not_made_again_for_it(finished, change, spared):
    plan = finished.plan(*overlay(finished, change)).keys()
    assert not plan if spared is None else not spared & plan


def test_a_project_that_was_moved_has_nothing_to_do(finished, tmp_path):
    moved = Workflow(folder=tmp_path / "moved", forks=finished.forks)
    shutil.copytree(finished.folder, moved.folder, symlinks=True)
    assert not moved.plan(*TINY)


def test_sequences_of_ones_own_are_predicted(finished):
    folder = finished.folder / RESULTS / "predictions"
    contigs = pd.read_csv(folder / "contigs.tsv", sep="\t")
    assert contigs["id"].tolist() == ["one", "two", "three", "four"]
    assert contigs["note"].tolist()[0] == "the middle 200 of 800000 bases"
    assert (contigs["folds"] == 3).all()
    shares = contigs[["probability.0", "probability.1"]]
    assert shares.sum(axis=1).between(0.999, 1.001).all()
    genes = pd.read_csv(folder / "genes.tsv", sep="\t")
    assert (genes["end"] - genes["start"] == 200).all()
    assert set(genes["strand"]) == {"+", "-"}


def test_another_operation_hides_nothing_that_is_missing(finished):
    """As an `ancient` input, whose rule has to run, would."""
    change = overlay(finished, "operation: {workers: 2}")
    embeddings = finished.folder / RESULTS / "embeddings/tiny/simulated.promoters.safetensors"
    assert not finished.plan(*change)
    away = embeddings.rename(embeddings.with_suffix(".away"))
    try:
        plan = finished.plan("embeddings", *change)
    finally:
        away.rename(embeddings)
    assert plan["embed_task"] == 1
    assert not {"pretrain", "describe_operation"} & plan.keys()


def test_variants_of_ones_own_are_scored(finished):
    genome = GenomeBases.of(finished.folder / RESULTS / "genomes/simulated")
    letters = to_sequence(genome.read("two", 5000, 5003))
    others = ["ACGT".replace(letter, "") for letter in letters]
    records = [
        ("two", 5001, letters[0], f"{others[0][0]},{others[0][1]}"),
        ("two", 5002, letters[1], "<DEL>"),
        ("two", 5003, letters[2], others[2][2]),
    ]
    lines = ["##fileformat=VCFv4.2", "#CHROM POS ID REF ALT QUAL FILTER INFO"]
    lines += [f"{name} {pos} . {ref} {alt} . . ." for name, pos, ref, alt in records]
    (finished.folder / "my.vcf").write_text("\n".join(lines).replace(" ", "\t") + "\n")
    change = "variants: {mine: {vcf: my.vcf, genome: simulated, models: [tiny, tiny.untrained]}}"
    done = finished.run("variants", *overlay(finished, change))
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS / "variants/mine"
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("tiny", "tiny.untrained")]
    for table in tables:
        assert table["llr"].notna().tolist() == [True, True, False, True]
        assert table["skip"].dropna().tolist() == ["symbolic"]
    assert (tables[0]["l2"] != tables[1]["l2"])[[0, 1, 3]].all()
    assert (folder / "tiny.vcf.gz.tbi").is_file()
    assert not (folder / "partial").exists()
    logs = finished.folder / RESULTS / "logs"
    lines = (logs / "score_variants/mine/tiny.log").read_text().splitlines()
    assert re.search(r"tiny\.vcf\.gz: 3 of 4 alleles are scored", lines[-1])
    assert any("about " in line for line in lines)
    indexed = (logs / "index_scores/mine/tiny.tbi.log").read_text()
    assert re.search(r"tiny\.vcf\.gz is indexed$", indexed)
    assert not finished.plan("variants", *overlay(finished, change))


def write_people(folder):
    """Write a SNP every 100 bases, of which one of two people carries ALT on both haplotypes."""
    genome = GenomeBases.of(folder / RESULTS / "genomes/simulated")
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=two>"]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += ["#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b".replace(" ", "\t")]
    for position in range(2000, 12_000, 100):
        (letter,) = to_sequence(genome.read("two", position, position + 1))
        if letter != "N":
            cells = ("two", position + 1, ".", letter, "CGTA"["ACGT".index(letter)], *"...")
            lines.append("\t".join(map(str, (*cells, "GT", "0|0", "1|1"))))
    (folder / "people.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_index(str(folder / "people.vcf"), preset="vcf", force=True)


def write_exon(folder):
    """Write all changes of ten bases, with effects."""
    genome = GenomeBases.of(folder / RESULTS / "genomes/simulated")
    letters = to_sequence(genome.read("two", 5000, 5010))
    rows = [
        f"two,{5001 + place},{letter},{alt},{place + number}"
        for place, letter in enumerate(letters)
        for number, alt in enumerate(one for one in "ACGT" if one != letter)
    ]
    (folder / "exon.csv").write_text("\n".join(["contig,position,ref,alt,effect", *rows]) + "\n")


def test_what_a_model_has_learned_of_annotated_elements_is_looked_at(finished):
    random_transformers.save_model("modernbert", finished.folder / "learned/modernbert")
    change = """
models:
  theirs: {embedder: {transformers: learned/modernbert}, licence: unknown}
annotations:
  genes:
    genome: simulated
    transcripts: "<results>/simulated/simulated/annotation.gtf.gz"
    bed: {enhancer: "<results>/simulated/simulated/enhancers.bed"}
    elements: [exon, intron, enhancer]
    models: [tiny, theirs]
    bases: 180
    each: 12
attention: {shifts: 20}
maps: {layers: [last], perplexity: 5, match_gc: false}
panels:
  people: {genome: simulated, path: people.vcf.gz, contigs: [two]}
snps:
  people: {panel: people, models: [tiny, theirs], frequencies: [0.5], each: 12, bases: 120}
assays:
  exon:
    table: exon.csv
    genome: simulated
    models: [tiny, theirs]
    window: 120
    scores: [llr]
    bootstrap: {draws: 20}
tracks:
  some: {genome: simulated, contigs: [three], models: [tiny], frames: [1], share: 0.5}
"""
    write_people(finished.folder)
    write_exon(finished.folder)
    done = finished.run("interpretation", *overlay(finished, change))
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS / "interpretation"
    heads = pd.read_csv(folder / "attention/genes/tiny.tsv", sep="\t")
    # Three elements, two ends of a pair, two thresholds, two layers of two heads.
    assert len(heads) == 3 * 2 * 2 * len(heads.drop_duplicates(["layer", "attention_head"]))
    tokens = pd.read_csv(folder / "reconstruction/genes/tiny.tsv", sep="\t")
    assert set(tokens["element"]) == {"all", "exon", "intron", "enhancer"}
    assert (tokens["perplexity"] > 1).all()
    assert len(pd.read_csv(folder / "maps/genes/tiny.tsv", sep="\t")) == 36
    assert "tiny" in (finished.folder / RESULTS / "interpretation.html").read_text()
    snps = pd.read_csv(folder / "snps/people/tiny.tsv", sep="\t")
    assert snps["haplotypes"].tolist() == [12, 12]
    assert (snps["people_trained_on"] == 0).all()
    chosen = finished.folder / RESULTS / "logs/choose_snps/people.log"
    assert re.search(OF_INTERPRETATION["choose_snps"], chosen.read_text())
    exon = pd.read_csv(folder / "assays/exon/tiny.tsv", sep="\t")
    assert exon["points"].tolist() == [30, 30, 10, 10]
    for name in ("maps/genes", "snps/people", "assays/exon"):
        assert len(pd.read_csv(folder / name / "theirs.tsv", sep="\t"))
    both = pd.concat(
        pd.read_csv(folder / f"reconstruction/genes/{model}.tsv", sep="\t")
        for model in ("tiny", "theirs")
    )
    assert list(both["element"])[:8] == list(both["element"])[8:]
    assert (both["base_loss"] > 0).all()
    assert not (folder / "attention/genes/theirs.tsv").exists()
    track = pybigtools.open(str(folder / "tracks/some/tiny.frame1/base.bw"))
    assert track.chroms() == {"three": 400_000}
    for rule, name in (("score_assay", "exon/tiny"), ("write_tracks", "some/tiny.frame1")):
        log = (finished.folder / RESULTS / f"logs/{rule}/{name}.log").read_text()
        assert re.search(OF_INTERPRETATION[rule], log)
    snps_log = (finished.folder / RESULTS / "logs/score_snps/people/tiny.log").read_text()
    assert re.search(OF_INTERPRETATION["score_snps"], snps_log)
    for rule in ("count_attention", "compare_heads", "reconstruct_windows", "map_elements"):
        log = (finished.folder / RESULTS / f"logs/{rule}/genes/tiny.log").read_text()
        assert re.search(OF_INTERPRETATION[rule], log)
    # Other elements need windows around them, and so other passes; another test of heads does not.
    shifts = change.replace("shifts: 20", "shifts: 21")
    jobs = set(finished.plan("interpretation", *overlay(finished, shifts)))
    assert jobs - {"total"} == {"compare_heads", "make_interpretation", "interpretation"}


def test_results_without_files_of_probes_stay_as_they_are_until_one_is_used(finished):
    """As those of a version that did not write them."""
    probe = finished.folder / RESULTS / "probes/tiny/simulated.promoters.safetensors"
    kept = probe.rename(probe.with_suffix(".kept"))
    assert not finished.plan(*overlay(finished, "run: {predictions: []}"))
    entry = "{model: tiny, method: probe, task: simulated.promoters, path: tests/config.yaml}"
    change = overlay(finished, f"run: {{predictions: [more]}}\npredictions: {{more: {entry}}}")
    assert {"probe_task", "predict_sequences"} <= finished.plan("predictions", *change).keys()
    kept.rename(probe)


def test_a_prediction_trains_what_it_needs_and_reports_stay_as_they_are(workflow):
    change = "run: {models: [], tasks: [], predictions: [genes]}"
    plan = workflow.plan("predictions", *overlay(workflow, change))
    stages = ("pretrain", "make_task", "embed_task", "probe_task", "predict_sequences")
    assert [plan[stage] for stage in stages] == [1, 1, 1, 1, 1]
    assert not {"finetune_task", "make_tables", "score_baselines"} & plan.keys()
    change = "run: {tasks: [simulated.shuffled], methods: [probe]}"
    plan = workflow.plan(*overlay(workflow, change))
    # Of the other task no more is made than the adapters and the probe that predict.
    assert (plan["finetune_task"], plan["audit_task"], plan["probe_task"]) == (1, 1, 3)


def test_a_network_predicts_without_a_model(workflow):
    entry = "{method: cnn, task: simulated.promoters, path: rows.fa}"
    (workflow.folder / "rows.fa").write_text(">a\nACGT\n")
    change = f"run: {{models: [], tasks: [], predictions: [mine]}}\npredictions: {{mine: {entry}}}"
    plan = workflow.plan("predictions", *overlay(workflow, change))
    assert (plan["train_network"], plan["predict_sequences"], plan["make_task"]) == (1, 1, 1)
    assert not {"pretrain", "initialise_model", "embed_task"} & plan.keys()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{model: tny}", "predictions.contigs.model: 'tny' is unknown; did you mean 'tiny'"),
        (
            "{method: prob}",
            "predictions.contigs.method: 'prob' is not allowed; choose one of probe",
        ),
        ("{task: simulated.promoter}", "did you mean 'simulated.promoters'"),
        ("{path: nowhere.fa}", "nowhere.fa"),
    ],
)
def test_a_wrong_prediction_stops_before_any_job(workflow, entry, sentence):
    arguments = overlay(workflow, f"predictions: {{contigs: {entry}}}")
    done = workflow.run("--dry-run", "predictions", *arguments)
    assert done.returncode != 0
    assert sentence in done.stdout


@pytest.mark.parametrize(
    ("target", "key", "entry"),
    [
        ("predictions", "predictions.contigs.path", "predictions: {contigs: {path: nowhere.fa}}"),
        (
            "corpora",
            "genomes.simulated.path",
            "genomes: {simulated: {simulate: null, path: nowhere.fa}}",
        ),
    ],
)
def test_a_file_that_is_gone_is_named_where_results_of_before_are_kept(
    finished, target, key, entry
):
    done = finished.run("--dry-run", target, *overlay(finished, entry))
    assert done.returncode == 0, done.stdout
    said = f"{key}: nowhere.fa is not there; what was made before, {RESULTS}"
    assert done.stdout.count(said) == 1
    assert "is not there" not in finished.run("--dry-run", "predictions", *TINY).stdout


def test_embeddings_of_another_program_are_probed_beside_our_own(finished):
    """Our own ones, as Parquet: the probe finds the same in them."""
    layout = f"{RESULTS}/embeddings/{MODEL}/{{task}}.parquet"
    change = (
        "run: {models: [tiny, theirs], tasks: [simulated.promoters], methods: [probe],\n"
        "  predictions: []}\n"
        "embed: {export: [parquet, anndata]}\n"
        f"models: {{theirs: {{embeddings: '{layout}', licence: CC0}}}}\n"
    )
    done = finished.run(*overlay(finished, change))
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS
    ours, theirs = (
        pd.read_csv(folder / f"probes/{model}/simulated.promoters.tsv", sep="\t")
        for model in (MODEL, "theirs")
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert (folder / "embeddings/tiny/simulated.promoters.h5ad").is_file()
    assert not (folder / "finetunes/ia3/theirs").exists()
    scores = pd.read_csv(folder / "tables/scores.tsv", sep="\t")
    assert set(scores["model"].dropna()) >= {MODEL, "theirs"}
    assert "theirs" in (folder / "report.html").read_text()


def test_models_that_are_not_ours_stand_beside_our_own_in_one_report(finished, monkeypatch):
    random_transformers.save_model("modernbert", finished.folder / "foreign/modernbert")
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_embedder.__file__).parent))
    change = (
        "run: {models: [tiny, toy, bert], tasks: [simulated.promoters], methods: [probe],\n"
        "  predictions: [theirs]}\n"
        "models:\n"
        "  toy: {embedder: {call: 'toy_embedder:open_one_hot', options: {token_bases: 3}},\n"
        "    licence: mit}\n"
        "  bert: {embedder: {transformers: foreign/modernbert}, licence: unknown}\n"
        "predictions:\n"
        "  theirs: {model: toy, method: probe, task: simulated.promoters, too_long: centre,\n"
        "    max_bases: 200, path: '<results>/simulated/simulated/genome.fa.gz'}\n"
    )
    arguments = overlay(finished, change)
    done = finished.run("check_embedder", "report", "predictions", *arguments)
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS
    facts = json.loads((folder / "models/bert/embedder.json").read_text())
    assert (facts["layers"], facts["width"], facts["licence"]) == (3, 32, "unknown")
    assert facts["check"]["difference"] < facts["check"]["tolerance"]
    scores = pd.read_csv(folder / "tables/scores.tsv", sep="\t")
    probed = scores[scores["method"] == "probe"]
    assert set(probed["model"]) == {MODEL, f"{MODEL}.untrained", "toy", "bert"}
    page = (folder / "report.html").read_text()
    assert all(name in page for name in ("toy", "bert"))
    predicted = pd.read_csv(folder / "predictions/theirs.tsv", sep="\t")
    assert len(predicted)
    assert predicted["probability.1"].between(0, 1).all()
    assert sum(finished.plan(*arguments).values()) == 0


def test_long_rows_of_a_model_that_is_not_ours_are_cropped_and_counted(finished, monkeypatch):
    """Probe and fine-tuning of 200 bases by a model that reads 120."""
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_embedder.__file__).parent))
    change = (
        "run: {models: [short], tasks: [simulated.promoters], methods: [probe, ia3],\n"
        "  baselines: [], predictions: []}\n"
        "embed: {too_long: TOO_LONG}\n"
        "finetune: {methods: {ia3: {steps: 20, evaluate_every: 10}}}\n"
        "models:\n"
        "  short:\n"
        "    embedder: {call: 'toy_embedder:open_trainable', options: {max_bases: 120},\n"
        "      finetune: true}\n"
        "    licence: mit\n"
    )
    refused = finished.run("probes", *overlay(finished, change.replace("TOO_LONG", "refuse")))
    assert refused.returncode != 0
    assert "set embed.too_long to centre, which reads their middle" in refused.stdout
    arguments = overlay(finished, change.replace("TOO_LONG", "centre"))
    done = finished.run("report", *arguments)
    assert done.returncode == 0, done.stdout
    folder = finished.folder / RESULTS
    rows = len(pd.read_parquet(folder / "tasks/simulated.promoters.parquet"))
    tuned = "finetunes/ia3/short/simulated.promoters/summary"
    for made in ("probes/short/simulated.promoters", tuned):
        assert json.loads((folder / f"{made}.json").read_text())["cropped_rows"] == rows
    summary = pd.read_csv(folder / "tables/summary.tsv", sep="\t").query("model == 'short'")
    assert set(zip(summary["method"], summary["cropped_rows"], strict=True)) == {
        ("probe", rows),
        ("ia3", rows),
    }
    said = f"the middle was read: {rows:,} of simulated.promoters (short)."
    assert said in (folder / "report.html").read_text()
    assert sum(finished.plan("report", *arguments).values()) == 0


def test_a_change_of_the_objective_trains_again(finished):
    assert "pretrain" in finished.plan(*overlay(finished, "pretrain: {seed: 7}"))


def test_editing_the_trainer_exports_the_finished_state_without_a_step(finished):
    folder = finished.folder / RESULTS / "models" / MODEL
    weights = (folder / "weights.safetensors").read_bytes()
    (state,) = (folder / "state").iterdir()
    trainer = finished.folder / "scripts/pretrain.py"
    trainer.write_text(trainer.read_text() + "\n# a comment\n")
    before = {path: path.stat().st_mtime_ns for path in (state / "checkpoints").rglob("*")}
    assert "pretrain" in finished.plan("models", *TINY)
    done = finished.run("models", *TINY)
    assert done.returncode == 0, done.stdout
    assert (folder / "weights.safetensors").read_bytes() == weights
    assert {p: p.stat().st_mtime_ns for p in (state / "checkpoints").rglob("*")} == before


def test_a_trainer_killed_at_a_random_step_ends_with_the_same_weights(tiny_run, make_workflow):
    killed = make_workflow()
    tiny_run.give(killed, "simulated", "genomes", "corpora")
    folder = killed.folder / RESULTS / "models" / MODEL
    command = killed.command("models", *TINY)
    log = open(killed.folder / "log", "w")  # noqa: SIM115
    head = subprocess.Popen(command, cwd=killed.folder, stdout=log, stderr=log)
    try:
        kill_trainer_after(head, folder, steps=random.randrange(5, 25))
        assert head.wait(timeout=300) != 0, "snakemake did not notice that its trainer was killed"
    finally:
        head.kill()
        log.close()
    assert not (folder / "weights.safetensors").exists()
    done = killed.run("models", *TINY)
    assert done.returncode == 0, done.stdout
    undisturbed = tiny_run.results / "models" / MODEL
    name = "weights.safetensors"
    assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert losses(folder) == losses(undisturbed)


def kill_trainer_after(head, folder, steps):
    """Send SIGKILL to the process that holds the lock once `steps` rows are in its history."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and head.poll() is None:
        for history in folder.glob("state/*/history.jsonl"):
            if history.read_text().count("\n") >= steps:
                pid = json.loads((history.parent / "lock.json").read_text())["pid"]
                os.kill(pid, signal.SIGKILL)
                return
        time.sleep(0.02)
    raise AssertionError(f"the trainer did not reach {steps} steps: {head.poll()=}")


def losses(folder):
    rows = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [(row["step"], row.get("loss"), row.get("validation_loss")) for row in rows]
