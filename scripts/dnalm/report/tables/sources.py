"""What a run left besides scores, by the names that the files carry inside.

Nothing is joined by its place in a list. A JSON file says itself what it is of. Other files cannot,
or did not always: bare arrays, tables for people, what a trainer of any age wrote, Parquet files of
before they carried names. The rules name them, {name: file}, and where one says more it is checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dnalm.benchmark.parquet import check_names
from dnalm.errors import InputError
from dnalm.files import read_json
from dnalm.report.tables.records import Identities


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a run left besides scores, by name, in the order in which tables list it.

    Values are the contents of JSON files and the paths of others. locations: by corpus and task.
    """

    tasks: Mapping[str, dict[str, Any]]
    audits: Mapping[str, dict[str, Any]]
    audit_rows: Mapping[str, str]
    genomes: Mapping[str, dict[str, Any]]
    corpora: Mapping[str, dict[str, Any]]
    kmer_counts: Mapping[str, str]
    panels: Mapping[str, dict[str, Any]]
    panel_samples: Mapping[str, str]
    runs: Mapping[str, dict[str, Any]]
    embedders: Mapping[str, dict[str, Any]]
    histories: Mapping[str, str]
    locations: Mapping[tuple[str, str], str]


def read_sources(
    listed: Mapping[str, Sequence[str]], named: Mapping[str, Any], identities: Identities
) -> Sources:
    """Return the sources of a run, in the order of `identities`.

    `listed` are the paths of JSON files in any order: tasks, audits, genomes, corpora, panels,
    runs, embedders. `named` are the others by name: audit_rows by task, kmer_counts by corpus,
    panel_samples by panel, histories by model, locations by corpus and in it by task. Raises
    InputError for a file that is of something else.
    """
    models, tasks = list(identities.models), list(identities.tasks)
    described = [model for model in models if not identities.is_foreign(model)]
    runs = read_named(listed["runs"], "model", described)
    opened = [
        model
        for model in models
        if model not in described and not identities.has_embeddings_alone(model)
    ]
    # In the order of the models that read them.
    read = dict.fromkeys(run.get("corpus") for run in runs.values())
    locations = {
        (corpus, task): path
        for corpus in read
        for task, path in arrange(named["locations"].get(corpus, {}), tasks).items()
    }
    audit_rows = arrange(named["audit_rows"], tasks)
    for task, path in audit_rows.items():
        check_names(path, {"task": task})
    for (corpus, task), path in locations.items():
        check_names(path, {"corpus": corpus, "task": task})
    return Sources(
        tasks=read_named(listed["tasks"], "name", tasks),
        audits=read_named(listed["audits"], "task", tasks),
        audit_rows=audit_rows,
        genomes=read_named(listed["genomes"], "name", identities.genomes),
        corpora=read_named(listed["corpora"], "name", identities.corpora),
        kmer_counts=arrange(named["kmer_counts"], identities.corpora),
        panels=read_named(listed["panels"], "panel", identities.panels),
        panel_samples=arrange(named["panel_samples"], identities.panels),
        runs=runs,
        embedders=read_named(listed["embedders"], "model", opened),
        histories=arrange(named["histories"], models),
        locations=locations,
    )


def read_pretraining(
    listed: Mapping[str, Sequence[str]], histories: Mapping[str, str], identities: Identities
) -> dict[str, dict[str, Any]]:
    """Return runs, histories and corpora of the pretrained models, for `pretraining_tables`.

    `listed` are the paths of JSON files in any order, runs and corpora; `histories` are by model.
    """
    ordered = arrange(histories, list(identities.models))
    return {
        "runs": read_named(listed["runs"], "model", list(ordered)),
        "histories": ordered,
        "corpora": read_named(listed["corpora"], "name", identities.corpora),
    }


def read_named(paths: Iterable[str], key: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the contents of JSON files by the name that each holds under `key`.

    They come in the order of `names`. Raises InputError when a file has no name, one that is not
    among `names`, or that of another, and when there is no file of one of them.
    """
    contents: dict[str, dict[str, Any]] = {}
    for path in paths:
        facts = read_json(path)
        name = facts.get(key)
        if name not in names or name in contents:
            wrong = "which another file holds too" if name in contents else "which the run has not"
            raise InputError(
                f"{path}: its {key} is {name!r}, {wrong}; "
                f"delete the file and run again to have it rebuilt."
            )
        contents[name] = facts
    for name in names:
        if name not in contents:
            raise InputError(f"No file has the {key} {name!r}; run again to have it made.")
    return arrange(contents, names)


def arrange(by_name: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the entries of a mapping in the order of `names`, some of which it may lack."""
    return {name: by_name[name] for name in names if name in by_name}
