"""Every configuration and profile plans, and a wrong configuration stops before any job."""

import re
import resource
import shutil
from types import SimpleNamespace

import pytest
import yaml
from forks import count_jobs
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

DEMO = ("--configfile", "tests/config.yaml")
REAL = ("--configfile", "tests/real.yaml")
SLURM = ("--configfile", "tests/config.yaml", "tests/tiny.yaml", "tests/slurm/config.yaml")


@pytest.mark.parametrize("profile", ["profiles/local", "profiles/slurm"])
@pytest.mark.parametrize("overlay", [(), DEMO, SLURM], ids=["paper", "demo", "slurm"])
def test_every_profile_plans_every_configuration_down_to_the_report(workflow, profile, overlay):
    plan = workflow.plan(*overlay, profile=profile)
    stages = {"encode_genome", "build_corpus", "pretrain", "make_task", "embed_task"}
    assert stages <= plan.keys()
    assert {"probe_task", "score_baselines", "make_report"} <= plan.keys()
    assert ("finetune_task" in plan) == (overlay != SLURM)
    assert plan["pretrain"] == 1


@pytest.mark.parametrize("profile", ["profiles/local", "profiles/slurm"])
def test_the_real_configuration_plans_on_real_data(workflow, data_folder, profile, tmp_path):
    joined = tmp_path / "pieces.fa.gz"  # which `make real` makes before it starts
    joined.touch()
    data = ("--config", f'pathvars={{"data": "{data_folder}"}}')
    data += (f'genomes={{"human-pieces": {{"path": "{joined}"}}}}',)
    assert workflow.plan(*REAL, *data, profile=profile)["make_task"] == 6
    quick = (*REAL, "tests/real_quick.yaml", *data)
    assert workflow.plan(*quick, profile=profile)["make_task"] == 2
    methods = workflow.plan(*REAL, "tests/real_methods.yaml", *data, profile=profile)
    assert (methods["make_task"], methods["finetune_task"], methods["train_network"]) == (3, 12, 9)


def test_a_missing_source_file_is_found_before_any_job(workflow):
    done = workflow.run(*REAL, "--config", 'pathvars={"data": "nowhere"}')
    assert done.returncode != 0
    assert "nowhere/tasks" in done.stdout or "nowhere/multispecies" in done.stdout
    assert not (workflow.folder / "results/real").exists()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            "tasks/simulated.promotors.json",
            "tasks: 'simulated.promotors' is unknown; did you mean",
        ),
        (
            "genomes/simulatd/bases.npy",
            "genomes: this run needs no 'simulatd'; did you mean",
        ),
        (
            "corpora/human-reference/manifest.json",
            "corpora: this run needs no 'human-reference'; known are simul",
        ),
        ("interpretation/attention/gens/demo.tsv", "annotations: this run needs no 'gens'"),
        ("interpretation/assays/mine/demo.tsv", "assays: this run needs no 'mine'"),
        ("interpretation/snps/mine/demo.tsv", "snps: this run needs no 'mine'"),
    ],
)
def test_a_file_of_what_the_run_does_not_need_is_told_by_its_name(workflow, file, sentence):
    done = workflow.run("--dry-run", f"results/demo/{file}", *DEMO)
    assert done.returncode != 0
    assert f"InputError: {sentence}" in done.stdout


def test_the_workflow_plans_from_another_directory(workflow, tmp_path):
    plan = workflow.plan("--directory", str(tmp_path))
    assert plan["make_task"] == 18


def test_all_eight_models_and_every_method_on_36_tasks_stay_below_4300_jobs(workflow, tmp_path):
    rows = [f"species{i}\thttps://genomes.example.org/{i}.fna.gz\n" for i in range(850)]
    sheet = tmp_path / "genomes.tsv"
    sheet.write_text("name\turl\n" + "".join(rows))
    overlay = tmp_path / "all.yaml"
    corpora = "".join(
        f"  {name}: {{sheet: {sheet}}}\n" for name in ("multispecies", "multispecies-12kb")
    )
    models = "500m-human-ref 500m-1000g 2.5b-1000g 2.5b-multi-species v2-50m-multi-species"
    models += " v2-100m-multi-species v2-250m-multi-species v2-500m-multi-species"
    overlay.write_text(
        f"corpora:\n{corpora}run:\n  models: [{', '.join(models.split())}]\n"
        "  methods: [probe, mlp, ia3]\n  tasks: ['revised.*', 'original.*']\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = workflow.run_afresh("--dry-run", "--quiet", "rules", "--configfile", str(overlay))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stdout
    plan = count_jobs(done.stdout)
    print(f"{plan['total']:,} jobs are planned in {seconds:.1f} processor seconds")
    assert plan["encode_genome"] == 851
    assert plan["pretrain"] == 8
    assert plan["probe_mlp"] == 36 * 16
    assert plan["finetune_task"] == 36 * 8
    assert plan["total"] <= 4300


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
    ("target", "lacks"),
    [
        ("check_cluster", "run.models and run.pretrain_only name no model with a `corpus`"),
        ("probes", "run.models is empty, run.methods names no probe, or run.tasks no task"),
        ("variants", "`variants:` and run.variants name none"),
        ("interpretation", "`annotations:`, `snps:`, `assays:` and `tracks:` have no entry"),
    ],
)
def test_a_target_that_makes_nothing_says_what_is_lacking(workflow, target, lacks):
    config = ("--config", 'run={"models": [], "methods": ["ia3"]}')
    done = workflow.run(target, "--dry-run", *config)
    assert done.returncode == 0, done.stdout
    assert f"The target {target} makes nothing: {lacks}" in done.stdout
    assert "makes nothing" not in workflow.run("tasks", "--dry-run", *config).stdout


def test_genomes_are_searched_once_for_all_tasks_and_not_at_all_without_minimap2(
    workflow, tmp_path, monkeypatch
):
    files = ("--configfile", "tests/config.yaml", "tests/tiny.yaml")
    plan = workflow.plan(*files)
    assert (plan["search_genomes"], plan["locate_task"]) == (1, 2)
    hidden = "import importlib.util as u\nf = u.find_spec\nu.find_spec = lambda n, p=None: None if "
    (tmp_path / "sitecustomize.py").write_text(hidden + "n == 'pyminimap2' else f(n, p)\n")
    for program in ("which", "bash", "sh"):  # which Snakemake looks for
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = workflow.run_afresh("--dry-run", *files)
    assert done.returncode == 0, done.stdout
    assert "rule search_genomes" not in done.stdout
    assert "rule locate_task" not in done.stdout
    assert "not looked for in the pretraining genomes: minimap2 was not found" in done.stdout


def test_rebuilt_tasks_are_planned_from_their_primary_sources(workflow):
    rebuilt = ("--config", 'run={"tasks": ["rebuilt.*"]}')
    # The genome, ten files of peaks, promoters, their motifs, transcripts, two of enhancers, DHS.
    assert workflow.plan("downloads", *rebuilt)["download_file"] == 1 + 10 + 2 + 1 + 2 + 1
    assert workflow.plan(*rebuilt)["make_task"] == 18


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


def read_job(workflow, rule, *arguments):
    """Return a job of a rule in a dry run for Slurm, as the Slurm plugin reads it."""
    done = workflow.run("--dry-run", *arguments, profile="profiles/slurm")
    assert done.returncode == 0, done.stdout
    block = done.stdout.split(f"rule {rule}:")[1]
    found = re.search(r"resources: (.+)", block).group(1)
    pairs = (entry.split("=") for entry in found.split(", "))
    resources = {key: int(value) if value.isdigit() else value for key, value in pairs}
    return SimpleNamespace(resources=Resources(resources), threads=1)


def asked_of_slurm(job):
    """Return the options of `sbatch` on nodes, tasks, cores and GPUs."""
    settings = ("account", "partition", "run_uuid", "slurm_logfile", "comment_str", "workdir")
    command = get_submit_command(job, dict.fromkeys(settings, ""), settings=None)
    options = re.findall(r"--(?:nodes|ntasks|cpus)\S+|--mem \S+|-t \S+", command)
    return [*options, *set_gres_string(job).split()]


def read_rules(workflow):
    """Return {rule: its text} of all rules; that of another one follows where it is built on it."""
    found = {}
    for path in sorted((workflow.folder / "rules").glob("*.smk")):
        head = r"^(?:use rule (\w+) as (\w+) with|rule (\w+)):\n"
        parts = re.split(head, path.read_text(), flags=re.MULTILINE)[1:]
        for base, built, plain, text in zip(*(parts[place::4] for place in range(4)), strict=True):
            found[plain or built] = text + found.get(base, "")
    return found


def test_the_profile_of_slurm_sends_every_rule_that_asks_for_a_gpu_to_a_node_with_one(workflow):
    rules = read_rules(workflow)
    profile = yaml.safe_load((workflow.folder / "profiles/slurm/config.yaml").read_text())
    assert {*profile["set-resources"], *profile["set-threads"]} <= rules.keys()
    on_gpus = {name for name, text in rules.items() if re.search(r"^ {8}gpu=", text, re.MULTILINE)}
    assert {"pretrain", "finetune_task", "embed_with_embedder", "score_snps"} <= on_gpus
    for name in on_gpus:
        asked = profile["set-resources"].get(name, {})
        assert "DNALM_GPU_PARTITION" in asked.get("slurm_partition", ""), name
        # One task that starts what it needs, and not one for each GPU.
        assert asked["tasks_per_gpu"] == 0, name
        assert asked["runtime"] > 0, name
    elsewhere = {name for name in profile["set-resources"] if name not in on_gpus}
    assert all("slurm_partition" not in profile["set-resources"][name] for name in elsewhere)


def test_all_gpus_of_a_fine_tuning_are_asked_for_on_one_node(workflow, tmp_path):
    overlay = tmp_path / "gpus.yaml"
    overlay.write_text("run: {methods: [full]}\nfinetune: {operation: {gpus: 4}}\n")
    job = read_job(workflow, "finetune_task", "finetunes", "--configfile", str(overlay))
    asked = ["-t 480", f"--mem {64000 + 3 * 24000}", "--nodes=1", "--cpus-per-task=1", "--gpus=4"]
    assert asked_of_slurm(job) == asked


@pytest.mark.parametrize("rule", ["embed_task", "finetune_task", "probe_mlp", "train_network"])
def test_a_gpu_job_asks_slurm_for_its_gpu_once(workflow, rule):
    run = 'run={"methods": ["probe", "mlp", "ia3"], "baselines": ["bpnet", "untrained"]}'
    job = read_job(workflow, rule, "--config", run)
    assert [word for word in asked_of_slurm(job) if "gpu" in word] == ["--gpus=1"]


def test_methods_and_networks_are_planned_for_every_task_and_odd_rates_told(workflow, tmp_path):
    overlay = tmp_path / "methods.yaml"
    overlay.write_text(
        "run: {methods: [ia3, lora, full, head], baselines: [bpnet, cnn]}\n"
        "finetune: {methods: {full: {learning_rate: 5.0e-4}}}\n"
    )
    done = workflow.run("--dry-run", "--configfile", str(overlay))
    assert done.returncode == 0, done.stdout
    assert re.search(r"finetune_task +72\n", done.stdout)
    assert re.search(r"train_network +36\n", done.stdout)
    sentence = "finetune.methods.full.learning_rate is 0.0005 and is a rate for ia3 or lora or head"
    assert done.stdout.count(sentence) == 1


def test_untrained_encoders_are_fine_tuned_where_that_is_asked_for(workflow, tmp_path):
    overlay = tmp_path / "untrained.yaml"
    overlay.write_text("run: {finetune_untrained: true}\n")
    files = ("--configfile", "tests/config.yaml")
    alone, both = workflow.plan(*files), workflow.plan(*files, str(overlay))
    assert both["finetune_task"] == 2 * alone["finetune_task"]
    assert {rule: both[rule] for rule in both.keys() - {"finetune_task", "total"}} == {
        rule: alone[rule] for rule in alone.keys() - {"finetune_task", "total"}
    }


def test_networks_are_planned_beside_the_probes_or_alone(workflow):
    both = workflow.plan("--config", 'run={"methods": ["probe", "mlp"]}')
    assert both["probe_mlp"] == both["probe_task"] == both["embed_task"] == 36
    alone = workflow.plan("probes", "--config", 'run={"methods": ["mlp"]}')
    assert (alone["probe_mlp"], alone["embed_task"]) == (36, 36)
    assert "probe_task" not in alone


@pytest.mark.parametrize(
    ("model", "asked", "per_node"),
    [
        (
            "2.5b-1000g",
            "--mem 486000 --nodes=16 --ntasks-per-node=8 --cpus-per-task=8 --gpus=128",
            8,
        ),
        ("500m-human-ref", "--mem 222000 --nodes=1 --cpus-per-task=64 --gpus=8", 8),
        ("mine", "--mem 56000 --nodes=1 --cpus-per-task=8 --gpus=1", 1),
        ("numbered", "--mem 259000 --nodes=8 --ntasks-per-node=4 --cpus-per-task=8 --gpus=32", 4),
    ],
)
def test_slurm_is_asked_for_the_numbers_of_a_model_or_for_what_its_size_needs(
    workflow, tmp_path, model, asked, per_node
):
    run = f'run={{"models": ["{model}"]}}'
    overlay = tmp_path / "models.yaml"
    overlay.write_text(
        "models:\n"
        "  mine: {preset: v1-500m, corpus: human-reference}\n"
        "  numbered: {preset: v1-2.5b, corpus: human-reference, "
        "operation: {nodes: 8, gpus_per_node: 4}}\n"
    )
    job = read_job(workflow, "pretrain", "models", "--config", run, "--configfile", str(overlay))
    assert asked_of_slurm(job) == ["-t 2880", *re.findall(r"--mem \S+|\S+", asked)]
    assert job.resources.gpus_per_node == per_node
    check = read_job(
        workflow, "check_training", "check_cluster", "--config", run, "--configfile", str(overlay)
    )
    assert asked_of_slurm(check) == ["-t 15", *asked_of_slurm(job)[1:]]
    # The executor would start a job with `mpi`, whatever its value, without a step of its own.
    assert ("mpi" in job.resources) == (job.resources.nodes > 1)


def test_partitions_and_account_come_from_the_environment(workflow, monkeypatch):
    monkeypatch.setenv("DNALM_GPU_PARTITION", "a100")
    monkeypatch.setenv("DNALM_CPU_PARTITION", "normal")
    monkeypatch.setenv("DNALM_SLURM_ACCOUNT", "genomics")
    assert read_job(workflow, "pretrain").resources.slurm_partition == "a100"
    job = read_job(workflow, "make_task")
    assert (job.resources.slurm_partition, job.resources.slurm_account) == ("normal", "genomics")


class Resources(dict):
    """Resources as the Slurm plugin reads them: by key and by attribute."""

    __getattr__ = dict.__getitem__


def test_labelled_variants_are_planned_down_to_their_page(workflow, tmp_path):
    for name in ("v.vcf", "common.vcf", "labels.parquet"):
        (tmp_path / name).touch()
    overlay, files = tmp_path / "variants.yaml", tmp_path
    overlay.write_text(
        "run: {variants: [found, rows, matched]}\n"
        "variants:\n"
        f"  found: {{vcf: {files}/v.vcf, genome: simulated, models: [tiny, tiny.untrained],\n"
        "    label: {info: L, positive: ['1'], negative: ['0']}, supervised: true,\n"
        "    finetune: [ia3, head],\n"
        "    percentile: {among: common}}\n"
        f"  rows: {{genome: simulated, models: [tiny], label: {{path: {files}/labels.parquet}}}}\n"
        f"  matched: {{genome: simulated, models: [tiny], label: {{positives: {files}/v.vcf}},\n"
        f"    match: {{common: {files}/common.vcf}}}}\n"
        # In no report of its own, only for percentiles.
        f"  common: {{vcf: {files}/common.vcf, genome: simulated,\n"
        "    models: [tiny, tiny.untrained]}\n"
    )
    plan = workflow.plan("variants", *DEMO, str(overlay))
    wanted = {"label_variants": 2, "gather_variants": 2, "score_variants_with_features": 2}
    wanted |= {"score_variants": 4, "supervise_variants": 2, "evaluate_variants": 3}
    wanted |= {"finetune_variants": 4}
    wanted |= {"collect_distribution": 2, "place_variants": 2, "align_scores": 1}
    wanted |= {"report_variants": 1, "pretrain": 1}
    assert {rule: plan.get(rule) for rule in wanted} == wanted
    assert "report_variants" in workflow.plan(*DEMO, str(overlay))
