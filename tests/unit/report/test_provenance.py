"""How a report says that it was made, and its copy for programs."""

import json
import subprocess

import pytest
import yaml

import dnalm
from dnalm.report.job_records import RuleGraph
from dnalm.report.json_report import TABLES, json_report
from dnalm.report.provenance import NOT_KNOWN, describe_provenance, find_commit

BOOTSTRAP = {"draws": 2000, "seed": 42, "level": 0.95}
RULES = RuleGraph(reads={}, jobs={})
WORKFLOW = "9.27.1"
CONFIGURATION = {
    "report": {"bootstrap": BOOTSTRAP},
    "genomes": {"mine": {"url": "https://me:pw@host.org/g.fa.gz?token=abc"}},
    "finetune": {"methods": {"ia3": {"adapter": "ia3"}}},
}


def test_versions_and_configuration_are_named_without_passwords(shared_tables):
    made = describe_provenance(shared_tables, CONFIGURATION, WORKFLOW, RULES)
    facts = dict(made.facts)
    assert facts["Snakemake"] == "9.27.1"
    assert dnalm.__version__ in facts["dnalm"]
    assert yaml.safe_load(made.configuration)["report"]["bootstrap"] == BOOTSTRAP
    for secret in ("me:pw", "abc"):
        assert secret not in made.configuration
    assert "10.1038/s41592-024-02523-z" in made.citations


def test_the_methods_paragraph_has_the_numbers_of_the_run(shared_tables):
    text = describe_provenance(shared_tables, CONFIGURATION, WORKFLOW, RULES).methods
    for words in (
        "3 tasks",
        "with 900 training",
        "and 400 test",
        "2,000 bootstrap",
        "3 splits",
        "small",
    ):
        assert words in text
    assert "IA3 fine-tuning" in text
    assert "2 baselines" in text


def test_the_commit_is_that_of_the_working_tree_and_says_of_changes(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.org"]
    assert find_commit(tmp_path / "nowhere") == NOT_KNOWN
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    commit = find_commit(tmp_path)
    assert len(commit) == 12
    (tmp_path / "file").write_text("2")
    assert find_commit(tmp_path) == f"{commit} with changes"


def test_the_json_holds_every_score_and_null_where_there_is_none(shared_tables):
    made = describe_provenance(shared_tables, CONFIGURATION, WORKFLOW, RULES)
    read = json.loads(json_report(shared_tables, made, "A title"))
    assert read["title"] == "A title"
    for name in TABLES:
        assert len(read[name]) == len(shared_tables[name])
    scores = [row["score_mean"] for row in read["summary"]]
    assert scores == pytest.approx(shared_tables["summary"]["score_mean"].tolist(), abs=1e-14)
    assert read["summary"][0]["published"] is None
