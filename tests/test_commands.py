"""Every documented `snakemake` command runs, on the demo in place of the reader's own overlay."""

import shlex

import documents
import pytest

DEMO = ("tests/config.yaml", "tests/tiny.yaml")
# What asks for a network, is of another workflow, or of the linter.
ELSEWHERE = {"species_sheet", "dnalm_probes", "--report", "TARGET", "--lint"}


def list_commands(overlay: bool) -> list[tuple[str, ...]]:
    """Return each command once, without its profile: those with an overlay of the reader's or none.

    The demo, cut down, stands for the reader's overlay.
    """
    found = []
    for page in documents.PAGES:
        for program, *words in documents.find_commands(page):
            if program != "snakemake" or ELSEWHERE & set(words):
                continue
            if "--profile" in words:  # one of another machine would need its scheduler
                at = words.index("--profile")
                del words[at : at + 2]
            if any(word.startswith("resources/reproduce/") for word in words):
                continue  # planned, with the files that they ask for, by tests/test_reproduce.py
            own = set(documents.OVERLAYS) & set(words)
            made: list[str] = []
            for word in words:
                made += DEMO if word in documents.OVERLAYS else [word]
            if bool(own) == overlay:
                found.append(tuple(made))
    return list(dict.fromkeys(found))


def place_mirror(command, folder):
    """Return a command whose mirror lies in the test's folder."""
    return [f"mirror={folder}/mirror" if "mirror=" in word else word for word in command]


@pytest.fixture(scope="module")
def finished(make_workflow):
    """A workflow in which the demo has run once: each command finds what it builds on.

    By interpreters, as people run it: that of the other tests is a run of forks.
    """
    workflow = make_workflow()
    done = workflow.run_afresh("--configfile", *DEMO)
    assert done.returncode == 0, done.stdout
    return workflow


@pytest.mark.slow
@pytest.mark.parametrize("command", list_commands(overlay=True), ids=shlex.join)
def test_every_documented_command_runs_on_the_demo(finished, command):
    done = finished.run(*place_mirror(command, finished.folder))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Traceback" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", list_commands(overlay=False), ids=shlex.join)
def test_every_documented_command_on_the_shipped_configuration_plans(workflow, command):
    done = workflow.run("--dry-run", *place_mirror(command, workflow.folder))
    assert done.returncode == 0, done.stdout[-3000:]
