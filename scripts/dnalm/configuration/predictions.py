"""Predictions of the configuration: what an entry resolves to, and what does not fit in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.finetuning import resolve_method, resolve_network
from dnalm.configuration.kinds import is_pooled
from dnalm.configuration.models import find_unknown
from dnalm.configuration.resolve import resolve_task
from dnalm.configuration.weights import has_embedder, is_foreign, is_tunable
from dnalm.methods import NETWORKS, PROBE_NAMES
from dnalm.suggestions import refusal

# What says where files are, which are inputs: a moved file makes no other predictions.
FILES = ("path", "bed", "genome")
OF_TASK = ("other_letters", "min_bases")  # which a null leaves to the task
WILDCARDS = set("*?[")
OF_FILES = ("format", "sequence_column", "id_column")
# Of the section `embed`, what the pooling of a head, or the features of a probe, depend on.
OF_HEAD = ("pooling", "centre_bases")
OF_PROBE = (*OF_HEAD, "layers", "strands", "precision")


def resolve_prediction(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of an entry of `predictions:` but for its files, defaults filled in."""
    entry = config["predictions"][name]
    settings = {"name": name, **config["prediction"], **entry}
    task = resolve_task(config, entry["task"])
    inherited = {key: task[key] for key in OF_TASK if settings[key] is None}
    if settings["too_long"] is None:
        inherited["too_long"] = config["embed"]["too_long"]
    settings = {key: value for key, value in (settings | inherited).items() if key not in FILES}
    return settings | {"min_bases": settings["min_bases"] or 1}


def resolve_asked(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how the classifier of a prediction is to have been made."""
    entry = config["predictions"][name]
    task = resolve_task(config, entry["task"])
    keys = OF_PROBE if entry["method"] in PROBE_NAMES else OF_HEAD
    asked = {key: config["embed"][key] for key in keys}
    return asked | {"pooling": task["pooling"] or asked["pooling"]}


def find_prediction_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value of `predictions:` that does not fit the configuration."""
    methods = (*PROBE_NAMES, *config["finetune"]["methods"], *NETWORKS)
    for pattern in config["run"]["predictions"]:
        if not WILDCARDS & set(pattern):
            yield from find_unknown("run.predictions", pattern, config["predictions"])
    for name, entry in config["predictions"].items():
        key, method, task = f"predictions.{name}", entry["method"], entry["task"]
        yield from _model(key, entry, config)
        yield from find_unknown(f"{key}.task", task, config["tasks"])
        if method not in methods:
            yield f"{key}.method: '{method}' {refusal(method, methods)}"
        elif _is_lost(config, method):
            yield (
                f"{key}.method: '{method}' keeps scores alone (save: scores), and nothing to"
                " predict with; write save: trained into its settings, or name another."
            )
        elif method in PROBE_NAMES and not is_pooled(config["tasks"].get(task, {})):
            yield (
                f"{key}.method: a probe says nothing of single bases, of which the task '{task}'"
                " is; write a method of finetune.methods."
            )
        yield from _source(key, entry, config)
        yield from _tiles(key, {**config["prediction"], **entry})


def _model(key: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    if entry["method"] in NETWORKS:
        if "model" in entry:
            yield (
                f"{key}.model: {entry['method']} reads sequences itself, on top of no model; remove"
                " the key."
            )
    elif "model" not in entry:
        yield f"{key}: the key 'model' is missing; name the one that '{entry['method']}' is of."
    else:
        yield from find_unknown(f"{key}.model", entry["model"], config["models"])
        if has_embedder(config, entry["model"]):
            if entry["method"] not in PROBE_NAMES and not is_tunable(config, entry["model"]):
                yield (
                    f"{key}.model: '{entry['model']}' is opened by an embedder that is not"
                    " fine-tuned; name a probe, or write finetune: true into the embedder if it"
                    " offers a module."
                )
        elif is_foreign(config, entry["model"]):
            yield (
                f"{key}.model: of '{entry['model']}' there are embeddings alone, and no model to"
                " read other sequences; name another."
            )


def _is_lost(config: Mapping[str, Any], method: str) -> bool:
    """Return whether nothing is kept of what a method trains."""
    if method in PROBE_NAMES:
        return False
    resolve = resolve_network if method in NETWORKS else resolve_method
    return resolve(config, method)["save"] == "scores"


def _source(key: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    if "genome" in entry:
        yield from find_unknown(f"{key}.genome", entry["genome"], config["genomes"])
    if ("bed" in entry) != ("genome" in entry):
        given, lacking = ("bed", "genome") if "bed" in entry else ("genome", "bed")
        yield f"{key}: '{given}' is given without '{lacking}'; intervals are of a genome, add it."
    unused = OF_FILES if "bed" in entry else ("window", "tracks")
    for option in (option for option in unused if option in entry):
        other = "path" if "bed" in entry else "bed"
        yield f"{key}.{option}: this key goes with '{other}'; remove it."


def _tiles(key: str, settings: Mapping[str, Any]) -> Iterator[str]:
    most, overlap = settings["max_bases"], settings["tile_overlap"]
    if most is not None and overlap >= most:
        yield (
            f"{key}.tile_overlap: tiles of at most {most} bases cannot share {overlap}; lower it"
            " or raise max_bases."
        )
