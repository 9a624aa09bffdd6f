"""What the report reads: one record per (method, model, task), and what the names mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.benchmark.parquet import check_names
from dnalm.benchmark.scoring.results import result_names, score_columns
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError
from dnalm.files import read_json, read_tsv
from dnalm.methods import BASELINE


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the report keeps of a result: scores and summary, and where its other files lie."""

    method: str  # probe, ia3, ... or baseline
    model: str  # a model's name, or the baseline's
    task: str
    scores: pd.DataFrame  # columns of `score_columns`, one row per fold
    summary: dict[str, Any]
    predictions: Path
    history: Path | None  # of the training losses of a fine-tuning

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the result."""
        return self.method, self.model, self.task

    @property
    def kind(self) -> str:
        """The kind of the task."""
        return self.summary["kind"]

    @property
    def metric(self) -> str:
        """The metric by which methods are compared on the task."""
        return find_kind(self.kind).headline

    @property
    def is_baseline(self) -> bool:
        """Whether no language model is involved."""
        return self.method == BASELINE


@dataclass(frozen=True, kw_only=True)
class Identities:
    """What names mean, and their order in tables: the config's, because no result file holds it.

    models: {model: {"published_as": name or None, "untrained_of": model or None, "source" and
        "licence" of its weights: words, None for weights made here, "foreign": true of those
        that are not ours, "embeddings_alone": true where there is nothing else of them}}
    tasks: {task: {"published_as": "<set>.<task>" or None, "pooling": "mean" or "centre",
        "category": words or None}}
    baselines, genomes, corpora, panels: names
    methods: the adapter of each fine-tuning method, whatever its name
    species, groups: of each genome that has one in the config
    """

    models: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    baselines: Sequence[str]
    genomes: Sequence[str]
    corpora: Sequence[str]
    panels: Sequence[str]
    methods: dict[str, str]
    species: dict[str, str]
    groups: dict[str, str]

    def published_model(self, model: str) -> str | None:
        """Return the name of a model in the published table, None for models of our own."""
        return self.models.get(model, {}).get("published_as")

    def untrained_of(self, model: str) -> str | None:
        """Return the trained model whose initial weights `model` holds, None for others."""
        return self.models.get(model, {}).get("untrained_of")

    def is_foreign(self, model: str) -> bool:
        """Return whether a model is not one of ours, and has no run.json."""
        return bool(self.models.get(model, {}).get("foreign"))

    def has_embeddings_alone(self, model: str) -> bool:
        """Return whether of a model there are embeddings alone, which read no other sequences."""
        return bool(self.models.get(model, {}).get("embeddings_alone"))

    def untrained(self, model: str) -> str | None:
        """Return the model that holds the initial weights of `model`."""
        names = [name for name in self.models if self.untrained_of(name) == model]
        return names[0] if names else None

    def source(self, model: str) -> str:
        """Return where the weights of a model come from, '' for weights made here."""
        return self.models.get(model, {}).get("source") or ""

    def licence(self, model: str) -> str:
        """Return the licence of a model's weights, '' where none was given."""
        return self.models.get(model, {}).get("licence") or ""

    def published_task(self, task: str) -> str:
        """Return the key `<set>.<task>` under which a task's published values stand."""
        return self.tasks.get(task, {}).get("published_as") or task

    def pooling(self, task: str) -> str:
        """Return how a task's token vectors become one: mean, centre, or '' when not known."""
        return self.tasks.get(task, {}).get("pooling") or ""

    def category(self, task: str) -> str:
        """Return the group of tasks over which means are taken, '' for a task of none."""
        return self.tasks.get(task, {}).get("category") or ""

    def adapter(self, method: str) -> str:
        """Return what a method trains, which is what published methods are named by."""
        return self.methods.get(method) or method


def read_results(results: Iterable[Mapping[str, str]], identities: Identities) -> list[Record]:
    """Return the results of a run by task, baselines first, then by method and model.

    Each of `results`, in any order, names the files of one result: scores, summary, predictions and
    of a fine-tuning history.
    The summary says what it is of. Models and baselines come in the order of `identities`.

    Raises InputError when scores lack a metric, predictions are of another result, a (method,
    model, task) comes twice or its model is not one of the run.
    """
    order = {name: place for place, name in enumerate(identities.models)}
    baselines = {name: place for place, name in enumerate(identities.baselines)}
    records: dict[tuple[str, str, str], Record] = {}
    for files in results:
        record = _record(**files)
        if record.key in records:
            raise InputError(
                f"{files['summary']}: {' / '.join(record.key)} is already given by another file."
            )
        if record.model not in (baselines if record.is_baseline else order):
            raise InputError(
                f"{files['summary']}: the run has no {record.model}; "
                f"delete the file and run again to have it rebuilt."
            )
        records[record.key] = record

    def place(record: Record) -> tuple:
        own = baselines if record.is_baseline else order
        return record.task, not record.is_baseline, record.method, own[record.model]

    return sorted(records.values(), key=place)


def _record(scores: str, summary: str, predictions: str, history: str | None = None) -> Record:
    facts = read_json(summary)
    table = read_tsv(scores, score_columns(facts["kind"]))
    check_names(predictions, result_names(facts))
    model = facts.get("model")
    return Record(
        method=facts["method"] if model else BASELINE,
        model=model or facts[BASELINE],
        task=facts["task"],
        scores=table,
        summary=facts,
        predictions=Path(predictions),
        history=Path(history) if history else None,
    )
