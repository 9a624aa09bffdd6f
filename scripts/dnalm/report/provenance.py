"""How a report was made: versions, commit, machine, configuration, and words to cite it by."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import dnalm
from dnalm.jobs.credentials import hide_passwords
from dnalm.methods import ADAPTERS, BASELINE, PROBES
from dnalm.report.job_records import RuleGraph
from dnalm.report.pages.grids import large

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "pyarrow", "pysam", "safetensors")
PAPER = (
    "@article{dallatorre2025nucleotide,\n"
    "  title = {Nucleotide Transformer: building and evaluating robust foundation models for human "
    "genomics},\n"
    "  author = {Dalla-Torre, Hugo and others},\n"
    "  journal = {Nature Methods},\n"
    "  volume = {22},\n"
    "  pages = {287--297},\n"
    "  year = {2025},\n"
    "  doi = {10.1038/s41592-024-02523-z}\n"
    "}"
)
NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made a report.

    facts: (what, value) for people, in order.
    configuration: the merged configuration as YAML, without passwords and tokens.
    methods: a paragraph on what was run, with its numbers.
    citations: BibTeX entries.
    rules: those behind the tables, from the records of their jobs.
    """

    facts: Sequence[tuple[str, str]]
    configuration: str
    methods: str
    citations: str
    rules: RuleGraph


def describe_provenance(
    tables: Mapping[str, pd.DataFrame],
    configuration: Mapping[str, Any],
    snakemake: str,
    rules: RuleGraph,
) -> Provenance:
    """Return how a report of these tables is made, now and on this machine.

    `configuration` is the merged one, `snakemake` the version that runs the workflow.
    """
    commit = find_commit(Path(dnalm.__file__).parent)
    facts = [
        ("written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("dnalm", f"{dnalm.__version__}, commit {commit}"),
        ("Snakemake", snakemake),
        ("Python", platform.python_version()),
        *((name, _version(name)) for name in PACKAGES),
        ("machine of this page", _machine()),
        ("devices of pretraining", _devices(tables)),
    ]
    return Provenance(
        facts=[(what, hide_passwords(value)) for what, value in facts],
        configuration=hide_passwords(
            yaml.safe_dump(_plain(configuration), sort_keys=False, allow_unicode=True, width=100)
        ),
        methods=describe_methods(tables, configuration, commit),
        citations=f"{_software(commit)}\n\n{PAPER}",
        rules=rules,
    )


def find_commit(folder: Path) -> str:
    """Return the commit of the working tree that holds `folder`, marked where it was changed."""
    asked = ["git", "-C", str(folder)]
    try:
        commit = _said([*asked, "rev-parse", "--short=12", "HEAD"])
        changed = _said([*asked, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return NOT_KNOWN
    return f"{commit} with changes" if changed else commit


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed where this page was made"


def _machine() -> str:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass
    return f"{platform.system()} {platform.release()}, {name}"


def _devices(tables: Mapping[str, pd.DataFrame]) -> str:
    trained = tables["models"].query("steps > 0")["model"].nunique()
    return "see the summary of pretraining" if trained else "nothing was trained"


def _plain(value: Any) -> Any:
    """Return a value of the types that YAML knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | type(None)) else str(value)


def describe_methods(
    tables: Mapping[str, pd.DataFrame], configuration: Mapping[str, Any], commit: str
) -> str:
    """Return a paragraph for the methods section of an article: what was run, on how much."""
    summary, models, tasks = tables["summary"], tables["models"], tables["tasks"]
    own = models[models["untrained_of"] == ""]
    named = "; ".join(
        row["model"]
        if pd.isna(row["parameters"])
        else f"{row['model']} ({large(row['parameters'])} parameters"
        + (f", {large(row['training_tokens'])} tokens" if row["training_tokens"] else "")
        + ")"
        for row in own.to_dict("records")
    )
    words = {row.name: row.words for row in (*PROBES, *ADAPTERS)}
    adapters = {
        name: method.get("adapter")
        for name, method in configuration.get("finetune", {}).get("methods", {}).items()
    }
    methods = dict.fromkeys(
        words.get(adapters.get(method, method), method)
        for method in summary["method"]
        if method != BASELINE
    )
    rows = tasks[["train_rows", "test_rows"]].astype(int)
    bootstrap = configuration["report"]["bootstrap"]
    splits = ", ".join(map(str, sorted(set(summary["n"].astype(int)))))
    return (
        f"Models: {named or 'none'}. They were evaluated on {len(tasks)} "
        f"{'task' if len(tasks) == 1 else 'tasks'} with "
        f"{_span(rows['train_rows'])} training and {_span(rows['test_rows'])} test sequences by "
        f"{' and '.join(methods) or 'no method'}, beside "
        f"{summary.loc[summary['method'] == BASELINE, 'model'].nunique()} baselines. Layers, "
        f"penalties and stopping steps were chosen on validation rows of {splits} splits of the "
        f"training rows, and every model was scored once on the test rows. Intervals are "
        f"percentiles of {bootstrap['draws']:,} bootstrap draws of the test rows "
        f"({bootstrap['level']:.0%}), paired between methods. Everything was run with dnalm "
        f"{dnalm.__version__} (commit {commit})."
    )


def _span(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _software(commit: str) -> str:
    year = datetime.now(UTC).year
    return (
        "@software{dnalm,\n"
        "  title = {dnalm: a Snakemake workflow that reproduces the Nucleotide Transformer end to "
        "end},\n"
        "  author = {{The dnalm developers}},\n"
        f"  version = {{{dnalm.__version__}, commit {commit}}},\n"
        f"  year = {{{year}}}\n"
        "}"
    )
