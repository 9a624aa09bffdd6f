"""The workflow as a module of another one: from a path, from a repository, renamed and prefixed."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from forks import count_jobs

ROOT = Path(__file__).parents[1]
OWNER = "somebody/dnalm"


def merged(*names: str) -> dict:
    """Return what overlays of the tests say together; no key of the shipped configuration."""
    from dnalm.configuration.resolve import merge

    config: dict = {}
    for name in names:
        config = merge(config, yaml.safe_load((ROOT / "tests" / name).read_text()))
    return config


def write_outer(folder: Path, snakefile: str, *, more: str = "", rules: str = "* from dnalm"):
    """Write a workflow that has this one as a module, and gives it a part of its configuration."""
    folder.mkdir(exist_ok=True)
    config = {"dna": merged("config.yaml", "tiny.yaml"), "other": {"genomes": ["mine"]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "Snakefile").write_text(
        'configfile: "config.yaml"\n\n\n'
        f"module dnalm:\n    snakefile:\n        {snakefile}\n"
        f'    config:\n        config["dna"]\n{more}\n\n'
        f"use rule {rules}\n"
    )
    return folder


def run_outer(workflow, folder: Path, *arguments: str, environment=None):
    """Run the outer workflow, in its own folder and from there alone."""
    return subprocess.run(
        workflow.command(*arguments, profile=str(workflow.folder / "profiles/local")),
        cwd=folder,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def plan_outer(workflow, folder: Path, *arguments: str):
    """Do a dry run of the outer workflow."""
    profile = str(workflow.folder / "profiles/local")
    command = workflow.command("--dry-run", *arguments, profile=profile)
    return workflow.forks.run(command[1:], cwd=folder, environment=os.environ)


@pytest.fixture(scope="module")
def hosted(make_workflow, tmp_path_factory):
    """A repository that git fetches in place of one on a public host, and a cache of its own."""
    workflow = make_workflow()
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "all"],
        ["tag", "v1"],
    ):
        subprocess.run(["git", *command], cwd=workflow.folder, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{workflow.folder}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{OWNER}",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }


def test_a_module_of_a_path_plans_what_the_workflow_itself_plans(workflow, tmp_path):
    alone = workflow.plan("--configfile", "tests/config.yaml", "tests/tiny.yaml")
    outer = write_outer(tmp_path / "outer", f'"{workflow.folder / "Snakefile"}"')
    done = plan_outer(workflow, outer)
    assert done.returncode == 0, done.stdout
    assert count_jobs(done.stdout) == alone
    # Folders that no configuration names follow that of the results.
    assert "log: results/tiny/logs/make_tables.log" in done.stdout


def test_a_module_with_a_prefix_and_other_names_keeps_all_its_files_below_it(workflow, tmp_path):
    snakefile = f'"{workflow.folder / "Snakefile"}"'
    prefix = '    prefix:\n        "inner"\n'
    outer = write_outer(tmp_path / "outer", snakefile, more=prefix, rules="* from dnalm as dnalm_*")
    done = plan_outer(workflow, outer, "--printshellcmds")
    assert done.returncode == 0, done.stdout
    assert count_jobs(done.stdout)["dnalm_pretrain"] == 1
    assert "--genomes-folder inner/results/tiny/genomes" in done.stdout
    assert " results/tiny/" not in done.stdout


def test_labels_and_removed_keys_of_a_module_are_those_that_it_is_given(workflow, tmp_path):
    outer = write_outer(tmp_path / "outer", f'"{workflow.folder / "Snakefile"}"')
    config = yaml.safe_load((outer / "config.yaml").read_text())
    config["dna"]["genomes"]["grch38"] = {"url": None, "path": "mine.fa"}
    config["dna"]["build"] = {"labels_by_name": {"only": 1}}
    (outer / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (outer / "Snakefile").open("a").write(
        "\n\nprint('GENOME', dnalm.config['genomes']['grch38'].get('url'))"
        "\nprint('LABELS', dnalm.config['build']['labels_by_name'])\n"
    )
    done = plan_outer(workflow, outer)
    assert done.returncode == 0, done.stdout
    assert "GENOME None" in done.stdout
    assert "LABELS {'only': 1}" in done.stdout


def test_a_wrong_configuration_of_a_module_stops_with_a_sentence(workflow, tmp_path):
    outer = write_outer(tmp_path / "outer", f'"{workflow.folder / "Snakefile"}"')
    config = yaml.safe_load((outer / "config.yaml").read_text())
    config["dna"]["run"]["models"] = ["tinny"]
    (outer / "config.yaml").write_text(yaml.safe_dump(config))
    done = plan_outer(workflow, outer)
    assert done.returncode != 0
    assert "did you mean 'tiny'" in done.stdout


@pytest.mark.parametrize("path", ["Snakefile", "workflow/Snakefile"])
def test_a_module_of_a_repository_plans_every_stage(workflow, tmp_path, hosted, path):
    snakefile = f'github("{OWNER}", path="{path}", tag="v1")'
    done = run_outer(
        workflow, write_outer(tmp_path / "outer", snakefile), "--dry-run", environment=hosted
    )
    assert done.returncode == 0, done.stdout
    plan = count_jobs(done.stdout)
    assert (plan["pretrain"], plan["make_report"], plan["probe_task"]) == (1, 1, 4)


def test_a_module_of_a_repository_runs_its_scripts_and_its_trainer(workflow, tmp_path, hosted):
    outer = write_outer(
        tmp_path / "outer",
        f'github("{OWNER}", path="Snakefile", tag="v1")',
        more='    prefix:\n        "inner"\n',
        rules="* from dnalm as dnalm_*",
    )
    # A page: its templates have to come along, too.
    done = run_outer(workflow, outer, "dnalm_pretrain_summary", environment=hosted)
    assert done.returncode == 0, done.stdout
    model = outer / "inner/results/tiny/models/tiny"
    assert (model / "weights.safetensors").is_file()
    assert len((model / "history.jsonl").read_text().splitlines()) >= 30
    assert "<html" in (outer / "inner/results/tiny/pretrain_summary.html").read_text()
    assert sorted(path.name for path in outer.iterdir() if not path.name.startswith(".")) == [
        "Snakefile",
        "config.yaml",
        "inner",
    ]


def test_jobs_run_by_an_interpreter_with_the_flags_that_they_need(workflow, tmp_path):
    """The trainer finds the library beside it, and altair the docstrings that it reads."""
    outer = write_outer(tmp_path / "outer", f'"{workflow.folder / "Snakefile"}"')
    (outer / "show.py").write_text("import sys\n\nprint(sys.flags.safe_path, sys.flags.optimize)\n")
    (outer / "Snakefile").open("a").write(
        '\n\nrule show:\n    output:\n        "shown"\n'
        '    shell:\n        "python show.py > shown"\n'
    )
    environment = {"PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2"}
    done = run_outer(workflow, outer, "show", environment=environment)
    assert done.returncode == 0, done.stdout
    assert (outer / "shown").read_text() == "False 0\n"


def test_the_snakefile_of_deployment_tools_has_the_same_default(workflow):
    demo = ("--configfile", "tests/config.yaml")
    root = workflow.plan(*demo)
    other = workflow.plan("--snakefile", "workflow/Snakefile", *demo)
    assert other.pop("default") == root.pop("all") == 1
    assert other == root


def test_the_configuration_that_deployment_copies_is_a_valid_overlay(workflow):
    assert workflow.plan("--configfile", "config/config.yaml") == workflow.plan()
