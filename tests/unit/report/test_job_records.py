"""The rules behind a file, against the graph that Snakemake itself prints, and their layout."""

import re
import subprocess
import sys

import networkx
import pytest

from dnalm.report.figures.rule_graph import place, reduce, rule_graph_figure
from dnalm.report.job_records import RuleGraph, read_rule_graph

LONG = "a" * 150 + "/" + "b" * 150  # a record whose name does not fit into one
SNAKEFILE = f"""
rule final:
    input: "joined.txt", "other.txt"
    output: "final.txt"
    shell: "cat {{input}} > {{output}}"
rule join:
    input: expand("{LONG}/{{i}}.txt", i=[1, 2, 3]), "given.txt"
    output: "joined.txt"
    shell: "cat {{input}} > {{output}}"
rule part:
    input: "start.txt"
    output: "{LONG}/{{i}}.txt"
    log: "logs/{{i}}.log"
    shell: "cp {{input}} {{output}}"
rule other:
    input: "start.txt", "joined.txt"
    output: "other.txt", "second.txt"
    shell: "cat {{input}} > other.txt; cp other.txt second.txt"
rule start:
    output: "start.txt"
    shell: "date > {{output}}"
"""


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "given.txt").write_text("given")

    def snakemake(*options):
        command = [sys.executable, "-m", "snakemake", *options, "--cores", "2", "final.txt"]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=300
        )

    snakemake()
    return folder, snakemake("--rulegraph", "dot").stdout


def test_the_rules_of_a_file_are_those_of_snakemakes_own_graph(workflow, monkeypatch):
    folder, dot = workflow
    monkeypatch.chdir(folder)
    graph = read_rule_graph("final", ["joined.txt", "other.txt"])
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    edges = {(names[one], names[two]) for one, two in re.findall(r"(\d+) -> (\d+)", dot)}
    assert edges
    assert {(above, rule) for rule, read in graph.reads.items() for above in read} == edges
    assert graph.jobs == {"final": 1, "join": 1, "part": 3, "other": 1, "start": 1}


def test_without_records_the_rule_stands_alone(tmp_path):
    (tmp_path / "eA==").write_text("no JSON")
    graph = read_rule_graph("final", ["x", "y"], tmp_path)
    assert graph == RuleGraph(reads={"final": frozenset()}, jobs={"final": 1})


READS = {
    "a": frozenset(),
    "b": frozenset("a"),
    "c": frozenset("ab"),
    "d": frozenset("a"),
    "e": frozenset("abcd"),
}


def test_edges_that_follow_from_others_are_left_out_as_networkx_does():
    full = networkx.DiGraph([(above, rule) for rule, own in READS.items() for above in own])
    reduced = {(above, rule) for rule, own in reduce(READS).items() for above in own}
    assert reduced == set(networkx.transitive_reduction(full).edges)


def test_every_edge_leads_down_one_layer_at_a_time():
    layers, edges = place(reduce(READS))
    level = {node: i for i, layer in enumerate(layers) for node in layer}
    for edge in edges:
        assert [level[node] - level[edge[0]] for node in edge] == list(range(len(edge)))
    assert {(edge[0], edge[-1]) for edge in edges} == {
        (above, rule) for rule, own in reduce(READS).items() for above in own
    }


def test_the_picture_names_each_rule_with_its_jobs():
    jobs = {"a": 1, "b": 2, "c": 3, "d": 1, "e": 1}
    figure = str(rule_graph_figure(RuleGraph(reads=READS, jobs=jobs), {"b": 12.4}, ""))
    for words in ("'rule': 'c'", "3 jobs", "1 job'", "12 s", "not known"):
        assert words in figure
