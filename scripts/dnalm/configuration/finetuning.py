"""Fine-tuning methods, and networks trained like them, of the configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.benchmark.tasks.kinds import FLAG, NUMBER, find_kind
from dnalm.configuration.resolve import UNTRAINED, merge, select_tasks
from dnalm.methods import NETWORKS, find_adapter, warn_of_rate
from dnalm.suggestions import listing, nearest


def resolve_method(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a fine-tuning method's settings with everything its entry leaves out filled in."""
    return merge(config["finetune"]["method"], config["finetune"]["methods"][name])


def resolve_network(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of a baseline that is a network, filled in as those of a method are."""
    return merge(config["finetune"]["method"], config["baselines"][name])


def count_gpus(config: Mapping[str, Any], method: str, model: str) -> int:
    """Return the GPUs of a fine-tuning: several where all of an encoder of ours is trained."""
    gpus = config["finetune"]["operation"]["gpus"]
    number = gpus.get(model, 1) if isinstance(gpus, Mapping) else gpus
    frozen = find_adapter(resolve_method(config, method)["adapter"]).frozen
    return 1 if frozen or "embedder" in config["models"].get(model, {}) else number


def find_method_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per setting of fine-tuning that does not fit an adapter, model or task."""
    gpus = config["finetune"]["operation"]["gpus"]
    for name in gpus if isinstance(gpus, Mapping) else ():
        trained = name.removesuffix(UNTRAINED)
        if trained not in config["models"]:
            yield (
                f"finetune.operation.gpus.{name}: this model is unknown"
                f"{nearest(trained, config['models'])}"
            )
    for name in config["finetune"]["methods"]:
        settings = resolve_method(config, name)
        adapter, key = find_adapter(settings["adapter"]), f"finetune.methods.{name}.options"
        for option in settings["options"]:
            if option not in adapter.options:
                yield (
                    f"{key}.{option}: the adapter {adapter.name} has the options"
                    f" {listing(adapter.options)}; remove the key."
                )
        for option in adapter.options:
            if option not in settings["options"]:
                yield f"{key}: the adapter {adapter.name} needs the key '{option}'; add it."
    run = list(_list_run(config))
    weighted = [key for key, settings in run if _is_weighted(settings)]
    of_flags = [key for key, own in run if not isinstance(own["class_weights"], str)]
    binned = [key for key, settings in run if settings["head"] == "bins"]
    for task in select_tasks(config) if weighted or binned else ():
        kind = config["tasks"][task].get("kind")
        if binned and kind is not None and find_kind(kind).value != NUMBER:
            yield (
                f"{binned[0]}.head: bins is for regressions, but the task '{task}' is {kind}; write"
                " linear, or drop the task."
            )
        if of_flags and kind is not None and find_kind(kind).value != FLAG:
            yield (
                f"{of_flags[0]}.class_weights: a number is what a label's 1 counts beside a 0, but"
                f" the task '{task}' is {kind}; write none or balanced, or drop the task."
            )
        elif weighted and kind is not None and find_kind(kind).value == NUMBER:
            yield (
                f"{weighted[0]}.class_weights: balanced needs classes, but the task '{task}' is a"
                f" {kind}; write none, or drop the task."
            )


def find_method_warnings(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per method of the run whose learning rate does not suit its adapter."""
    for name in config["run"]["methods"]:
        if name in config["finetune"]["methods"]:
            settings = resolve_method(config, name)
            key = f"finetune.methods.{name}.learning_rate"
            if sentence := warn_of_rate(key, settings["adapter"], settings["learning_rate"]):
                yield sentence


def _is_weighted(settings: Mapping[str, Any]) -> bool:
    return settings["class_weights"] != "none"


def _list_run(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key and the settings of all that the run trains."""
    for name in config["run"]["methods"]:
        if name in config["finetune"]["methods"]:
            yield f"finetune.methods.{name}", resolve_method(config, name)
    for name in config["run"]["baselines"]:
        if name in NETWORKS and name in config["baselines"]:
            yield f"baselines.{name}", resolve_network(config, name)
