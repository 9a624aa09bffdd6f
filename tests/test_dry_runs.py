"""Every configuration and profile plans, and a wrong configuration stops before any job."""

import re
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm.utils import set_gres_string

DEMO = ("--configfile", "tests/config.yaml")
REAL = ("--configfile", "tests/real.yaml")


@pytest.mark.parametrize("profile", ["profiles/local", "profiles/slurm"])
@pytest.mark.parametrize("overlay", [(), DEMO], ids=["paper", "demo"])
def test_every_profile_plans_every_configuration_down_to_the_report(workflow, profile, overlay):
    plan = workflow.plan(*overlay, profile=profile)
    stages = {"encode_genome", "build_corpus", "pretrain", "make_task", "embed_task"}
    assert stages <= plan.keys()
    assert {"probe_task", "finetune_folds", "score_baseline", "make_report"} <= plan.keys()
    assert plan["pretrain"] == 1


def test_the_real_configuration_plans_on_real_data(workflow, data_folder):
    data = ("--config", f'pathvars={{"data": "{data_folder}"}}')
    assert workflow.plan(*REAL, *data)["make_task"] == 5
    quick = (*REAL, "tests/real_quick.yaml", *data)
    assert workflow.plan(*quick)["make_task"] == 2


def test_a_missing_source_file_is_found_before_any_job(workflow):
    done = workflow.run(*REAL, "--config", 'pathvars={"data": "nowhere"}')
    assert done.returncode != 0
    assert "nowhere/tasks" in done.stdout or "nowhere/multispecies" in done.stdout
    assert not (workflow.folder / "results/real").exists()


def test_the_workflow_plans_from_another_directory(workflow, tmp_path):
    plan = workflow.plan("--directory", str(tmp_path))
    assert plan["make_task"] == 18


def test_all_models_on_850_species_and_18_tasks_stay_below_4000_jobs(workflow, tmp_path):
    rows = [f"species{i}\thttps://genomes.example.org/{i}.fna.gz\n" for i in range(850)]
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text("name\turl\n" + "".join(rows))
    overlay = tmp_path / "all.yaml"
    corpora = "".join(
        f"  {name}: {{sheet: {sheet}}}\n" for name in ("multispecies", "multispecies-12kb")
    )
    models = "500m-human-ref 2.5b-multi-species v2-50m-multi-species v2-500m-multi-species"
    models += " v2-100m-multi-species v2-250m-multi-species"
    overlay.write_text(
        f"corpora:\n{corpora}run:\n  models: [{', '.join(models.split())}]\n"
        "finetune:\n  jobs_per_task: 1\n"
    )
    plan = workflow.plan("--configfile", str(overlay))
    assert plan["encode_genome"] == 851
    assert plan["pretrain"] == 6
    assert plan["total"] <= 4000


def test_the_thousand_genomes_are_planned_as_one_store_per_contig(workflow):
    plan = workflow.plan("models", "--config", 'run={"models": ["500m-1000g"]}')
    assert plan["build_haplotypes"] == 23
    assert plan["download_file"] == 1 + 23
    assert (plan["build_corpus"], plan["pretrain"]) == (1, 1)
    assert "index_variants" not in plan  # each contig has a file of its own


def test_the_target_downloads_asks_for_the_sources_alone(workflow):
    plan = workflow.plan("downloads")
    assert plan == {"download_file": 37, "downloads": 1, "total": 38}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('run={"models": ["500m-human"]}', "did you mean '500m-human-ref'"),
        ('run={"tasks": ["revised.H3K4m3"]}', "did you mean 'revised.H3K4me3'"),
        ('run={"taks": ["revised.H3"]}', "did you mean 'tasks'"),
        ('panels={"1000g": {"genome": "grch37"}}', "panels.1000g.genome: 'grch37' is unknown"),
        ('run={"models": ["v2-50m-multi-species"]}', "genome sheet genomes.tsv does not exist"),
        ('pretrain={"precision": "fp8"}', "pretrain.precision: 'fp8' is not allowed"),
    ],
)
def test_a_wrong_configuration_stops_before_any_job_with_a_sentence(workflow, config, sentence):
    done = workflow.run("--dry-run", "--config", config)
    assert done.returncode != 0
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


def test_a_gpu_job_asks_slurm_for_its_gpus_once(workflow):
    done = workflow.run("--dry-run", profile="profiles/slurm")
    asked = {}
    for rule in ("pretrain", "embed_task", "finetune_folds"):
        block = done.stdout.split(f"rule {rule}:")[1]
        resources = re.search(r"resources: (.+)", block).group(1)
        found = dict(entry.split("=") for entry in resources.split(", "))
        job = SimpleNamespace(resources=Resources(gpu=int(found["gpu"]), gres=found.get("gres")))
        asked[rule] = set_gres_string(job).split()
    assert asked == {
        "pretrain": ["--gpus=4"],
        "embed_task": ["--gpus=1"],
        "finetune_folds": ["--gpus=1"],
    }


class Resources(dict):
    """Resources as the Slurm plugin reads them: by key and by attribute."""

    __getattr__ = dict.__getitem__
