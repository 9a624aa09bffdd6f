"""What of a run is finished and can be tabled, and why the rest is missing."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.files import read_json
from dnalm.methods import BASELINE
from dnalm.report.tables.assembly import make_tables
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.files import read_benchmark, write_tables
from dnalm.report.tables.records import Identities, read_results
from dnalm.report.tables.sources import read_sources
from dnalm.report.tables.verdicts.published_scores import read_published


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A result that a run asks for: its names, its files by role, and what they are made from."""

    method: str
    model: str
    task: str
    files: Mapping[str, str]
    made_from: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A result that cannot be shown, and why."""

    method: str
    model: str
    task: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What can be tabled, in the form in which `read_results` and `read_sources` take it.

    `identities` name only what there is; `missing` are the results that are not among `results`.
    """

    results: Sequence[Mapping[str, str]]
    described: Mapping[str, Sequence[str]]
    named: Mapping[str, Any]
    identities: Identities
    missing: Sequence[Missing]

    @property
    def files(self) -> list[str]:
        """All files that the tables are made of."""
        described = [path for paths in self.described.values() for path in paths]
        return described + [path for files in self.results for path in files.values()]


def find_finished(
    expected: Sequence[Expected],
    described: Mapping[str, Sequence[str]],
    named: Mapping[str, Any],
    identities: Identities,
) -> Finished:
    """Return what of a run is there, with all that its tables need.

    `described` and `named` are the paths of `read_sources`. A result counts where all its files
    are there and none is older than what it is made from (another run would make it again), and
    where its task, the audit of the task and the description of its model are there. That settings
    have changed since cannot be seen in files.
    """
    found = {kind: _read_present(paths) for kind, paths in described.items()}
    named = _keep_present(named)
    tasks = {facts["name"] for facts in found["tasks"].values()}
    audited = {facts["task"] for facts in found["audits"].values()} & named["audit_rows"].keys()
    genomes = {facts["name"] for facts in found["genomes"].values()}
    panels = {facts["panel"] for facts in found["panels"].values()}
    panels &= named["panel_samples"].keys()
    corpora = {
        facts["name"]
        for facts in found["corpora"].values()
        if {genome["name"] for genome in facts["genomes"]} <= genomes
        and (not facts.get("haplotypes") or facts["haplotypes"]["panel"] in panels)
    } & named["kmer_counts"].keys()
    models = {
        facts["model"]
        for facts in found["runs"].values()
        if not facts.get("corpus")
        or (
            facts["corpus"] in corpora
            and (identities.untrained_of(facts["model"]) or facts["model"] in named["histories"])
        )
    }
    models |= {facts["model"] for facts in found["embedders"].values()}
    models |= {model for model in identities.models if identities.has_embeddings_alone(model)}
    results, missing = [], []
    for one in expected:
        reason = _find_reason(one, tasks, audited, models)
        if reason:
            names = {"method": one.method, "model": one.model, "task": one.task}
            missing.append(Missing(**names, reason=reason))
        else:
            results.append(one.files)
    shown = tasks & audited
    kept = {
        "tasks": ("name", shown),
        "audits": ("task", shown),
        "genomes": ("name", genomes),
        "corpora": ("name", corpora),
        "panels": ("panel", panels),
        "runs": ("model", models),
        "embedders": ("model", models),
    }
    return Finished(
        results=results,
        described={
            kind: [path for path, facts in found[kind].items() if facts[key] in names]
            for kind, (key, names) in kept.items()
        },
        named=named,
        identities=replace(
            identities,
            models={name: own for name, own in identities.models.items() if name in models},
            tasks={name: own for name, own in identities.tasks.items() if name in shown},
            genomes=[name for name in identities.genomes if name in genomes],
            corpora=[name for name in identities.corpora if name in corpora],
            panels=[name for name in identities.panels if name in panels],
        ),
        missing=missing,
    )


def tabulate(
    finished: Finished, published: str | Path, statistics: Statistics
) -> dict[str, pd.DataFrame]:
    """Return the tables of what is there, by name, as pages read them from files."""
    identities = finished.identities
    tables = make_tables(
        read_results(finished.results, identities),
        read_sources(finished.described, finished.named, identities),
        read_published(published),
        identities,
        statistics,
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: f"{folder}/{name}.tsv" for name in tables}
        write_tables(tables, paths)
        return read_benchmark(paths)


def _read_present(paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {path: read_json(path) for path in paths if Path(path).exists()}


def _keep_present(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files that are there of a mapping of any depth."""
    kept = {}
    for name, value in named.items():
        if isinstance(value, Mapping):
            kept[name] = _keep_present(value)
        elif Path(value).exists():
            kept[name] = value
    return kept


def _find_reason(one: Expected, tasks: set[str], audited: set[str], models: set[str]) -> str | None:
    """Return why a result cannot be shown, the first cause first; None where it can."""
    if one.task not in tasks:
        return "its task is missing"
    if one.method != BASELINE and one.model not in models:
        return "its model is missing"
    if not all(Path(path).exists() for path in one.files.values()):
        return "not made"
    if one.task not in audited:
        return "made, but the audit of its task is missing"
    oldest = min(os.stat(path).st_mtime_ns for path in one.files.values())
    for path in one.made_from:
        if Path(path).exists() and os.stat(path).st_mtime_ns > oldest:
            return f"older than {Path(path).name}, so it has to be made again"
    return None
