"""Work on tasks: embeddings, probes, baselines, fine-tuning and predictions."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn

from dnalm.benchmark.embedding.embed import choose_layers
from dnalm.benchmark.finetuning.classifier import NOTHING
from dnalm.benchmark.probing.baselines import baseline_features
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.genome.kmers import ALPHABET
from dnalm.methods import LINEAR, find_baseline, find_function
from dnalm.model.config import EncoderConfig, count_parameters
from dnalm.parallel.sharding import Layout
from dnalm.report.estimates.flops import (
    convolution_flops,
    count_fits,
    count_passes,
    count_tokens,
    count_trained,
    forward_flops,
    grid_flops,
    is_batched,
    search_flops,
)
from dnalm.report.estimates.work import (
    FLOAT16_BYTES,
    FLOAT32_BYTES,
    FLOP,
    NO_TABLE,
    Model,
    Work,
    Workload,
    is_known,
    make_unknown,
)
from dnalm.training.memory import Load, Memory, estimate_memory

NO_FILE = "bases: the file does not exist yet, or its intervals are of any length"
FOREIGN = "what a model that is not ours computes"
OF_NETWORKS = "what a network from scratch computes"
NETWORK_PASSES = 3  # all of a network is trained


def list_embedding(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    embed = load["embed"]
    for name in load["probed"] if load["probes"] else ():
        model = models[name]
        if model.config is None:
            continue
        layers = choose_layers(embed["layers"], model.config.layers)
        for task_name in load["pooled"]:
            task = load["tasks"][task_name]
            if not is_known(task):
                yield make_unknown("embedding", NO_TABLE, FLOP, model=name, task=task_name)
                continue
            tokens, rows = count_tokens(task["bases"], model.k), task["train"] + task["test"]
            strands = 1 if embed["strands"] == "forward" else 2
            width = model.config.width
            stored = FLOAT32_BYTES if embed["dtype"] == "float32" else FLOAT16_BYTES
            yield Work(
                stage="embedding",
                method="",
                model=name,
                task=task_name,
                jobs=1,
                amount=strands * rows * forward_flops(model.config, layers[-1], tokens),
                unit=FLOP,
                rate=("embedding", name, tokens),
                precision=embed["precision"],
                memory=inference_bytes(model.config, embed["batch_tokens"]),
                disk=float(rows * len(layers) * width * stored),
            )


def inference_bytes(config: EncoderConfig, tokens: int) -> float:
    """Return the bytes of weights and of one block's activations in float32."""
    states = tokens * (6 * config.width + 3 * config.ffn_width)
    return FLOAT32_BYTES * (count_parameters(config) + states)


def list_probing(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for probe in load["probes"]:
        for name in load["probed"]:
            for task_name in load["pooled"]:
                model, task = models[name], load["tasks"][task_name]
                names = {"method": probe, "model": name, "task": task_name}
                if model.config is None or not is_known(task):
                    why = FOREIGN if model.config is None else NO_TABLE
                    yield make_unknown("probing", why, FLOP, **names)
                    continue
                layers = choose_layers(load["embed"]["layers"], model.config.layers)
                width = model.config.width
                rows = task["train"] + task["test"]
                one = Work(
                    stage="probing",
                    **names,
                    jobs=1,
                    amount=0.0,
                    unit=FLOP,
                    rate=(),
                    precision=None,
                    # What is read, and one layer standardised in both types.
                    memory=float(FLOAT32_BYTES * rows * width * (len(layers) + 3)),
                    disk=0.0,
                )
                if probe == LINEAR.name:
                    yield _fit(load, one, task, [width] * len(layers))
                else:
                    yield _search(load, one, task, width, len(layers))


def _fit(load: Workload, work: Work, task: Mapping[str, Any], widths: list[int]) -> Work:
    """Return the work of the linear probe on feature sets of these widths."""
    probe, splits = load["probe"], task["splits"]
    fits = count_fits(splits, probe["penalties"], task["classes"])
    widest = max(widths)
    batched = is_batched(task["train"], widest, fits, probe["solver"])
    # The chosen set is fitted once more, at one penalty: which one is chosen is not known yet.
    once_more = count_fits(splits, [1.0], task["classes"])
    amount = sum(
        grid_flops(
            task["train"],
            width,
            number,
            batched=is_batched(task["train"], width, number, probe["solver"]),
        )
        for width, number in [*((width, fits) for width in widths), (widest, once_more)]
    )
    rate = ("regressions", widest, task["classes"] > 2, batched)
    on_gpu = "float32" if batched and probe["device"] == "cuda" else None
    return replace(work, amount=amount, rate=rate, precision=on_gpu)


def _search(load: Workload, work: Work, task: Mapping[str, Any], width: int, sets: int) -> Work:
    """Return the work of the other probe's search on feature sets of one width."""
    config = MlpConfig(**load["mlp"])
    amount = sets * search_flops(task["train"], width, task["classes"], task["splits"], config)
    on_gpu = None if config.device == "cpu" else "float32"
    return replace(work, amount=amount, rate=("perceptrons", width), precision=on_gpu)


def list_baselines(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    names = [name for name in load["baselines"] if find_baseline(name).features]
    for task_name in load["pooled"] if names else ():
        task = load["tasks"][task_name]
        if not is_known(task):
            yield make_unknown("baselines", NO_TABLE, FLOP, task=task_name)
            continue
        for number, name in enumerate(names):
            sequence = (ALPHABET * int(task["bases"]))[: int(task["bases"])]
            features = baseline_features(name, load["baselines"], [sequence])
            widths = [array.shape[1] for array in features.values()]
            rows = task["train"] + task["test"]
            one = Work(
                stage="baselines",
                method=name,
                model="",
                task=task_name,
                jobs=int(number == 0),  # all of a task in one
                amount=0.0,
                unit=FLOP,
                rate=(),
                precision=None,
                memory=float(FLOAT32_BYTES * rows * max(widths) * 4),
                disk=0.0,
            )
            yield _fit(load, one, task, widths)


def list_networks(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for name, method in load["networks"].items():
        network = make_network(name, method["network"])
        weights = sum(parameter.numel() for parameter in network.parameters())
        for task_name in load["tuned_tasks"]:
            task = load["tasks"][task_name]
            if not is_known(task):
                yield make_unknown("baselines", NO_TABLE, FLOP, method=name, task=task_name)
                continue
            rows = _count_row_passes(load, method, task, NETWORK_PASSES)
            states = method["batch_size"] * task["bases"] * network.config.width * 12
            yield Work(
                stage="baselines",
                method=name,
                model="",
                task=task_name,
                jobs=1,
                amount=rows * convolution_flops(network, task["bases"]),
                unit=FLOP,
                rate=("network", name),
                precision=method["precision"],
                memory=float(FLOAT32_BYTES * (4 * weights + states)),
                disk=0.0,
            )


def make_network(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """Return a baseline's network without weights."""
    with torch.device("meta"):
        return find_function(find_baseline(name).network)(**settings)


def _count_row_passes(
    load: Workload, method: Mapping[str, Any], task: Mapping[str, Any], passes: int
) -> float:
    """Return the forward passes of a row that all folds of a fine-tuning take.

    A step is `passes` of them for each row of its batch; each evaluation reads the validation rows,
    the end the test rows. With `patience` folds may end earlier.
    """
    evaluations = -(-method["steps"] // method["evaluate_every"])
    evaluated = evaluations * task["train"] * task["validated"] + task["test"]
    return task["splits"] * (passes * method["steps"] * method["batch_size"] + evaluated)


def list_finetuning(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for method_name, method in load["finetunes"].items():
        for name in load["tuned"]:
            model = models[name]
            passes = count_passes(model.config, method)
            trained = count_trained(model.config, method)
            for task_name in load["tuned_tasks"]:
                task = load["tasks"][task_name]
                names = {"method": method_name, "model": name, "task": task_name}
                if not is_known(task):
                    yield make_unknown("fine-tuning", NO_TABLE, FLOP, **names)
                    continue
                tokens = count_tokens(task["bases"], model.k)
                rows = _count_row_passes(load, method, task, passes)
                numbers = trained + task["classes"] * (model.config.width + 1)
                kept = 0 if method["save"] == NOTHING else numbers * task["splits"]
                memory = training_memory(
                    model.config, method["batch_size"], tokens, method["precision"]
                )
                # Gradients and moments of what is trained; the language model's head is not run.
                held = memory.weights + memory.activations * (passes > 1)
                yield Work(
                    stage="fine-tuning",
                    **names,
                    jobs=1,
                    amount=rows * forward_flops(model.config, model.config.layers, tokens),
                    unit=FLOP,
                    rate=("finetuning", name, tokens, method_name),
                    precision=method["precision"],
                    memory=float(held + 3 * FLOAT32_BYTES * numbers),
                    disk=float(FLOAT32_BYTES * kept),
                )


@cache
def training_memory(config: EncoderConfig, rows: int, tokens: int, precision: str) -> Memory:
    load = Load(sequences=rows, tokens=tokens, selected=tokens, precision=precision)
    return estimate_memory(
        config, Layout(shards=1, reshard=True, activation_checkpointing=False), load
    )


def list_predictions(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for name, entry in load["predictions"].items():
        model, task = models.get(entry["model"]), load["tasks"][entry["task"]]
        if model is None:
            yield make_unknown("predictions", OF_NETWORKS, FLOP, task=name)
            continue
        if entry["bases"] is None or task["bases"] is None:
            why = NO_FILE if entry["bases"] is None else NO_TABLE
            yield make_unknown("predictions", why, FLOP, task=name)
            continue
        if model.config is None:
            yield make_unknown("predictions", FOREIGN, FLOP, task=name)
            continue
        tokens = count_tokens(task["bases"], model.k)
        rows = entry["bases"] / task["bases"]
        folds = task["splits"] if entry["folds"] == "all" else len(entry["folds"])
        tuned = entry["method"] in load["finetunes"]
        strands = 1 if entry["strands"] == "forward" else 2
        flops = forward_flops(model.config, model.config.layers, tokens)
        yield Work(
            stage="predictions",
            method=entry["method"],
            model=entry["model"],
            task=name,
            jobs=1,
            # Each fold of a fine-tuning has an encoder of its own.
            amount=strands * rows * flops * (folds if tuned else 1),
            unit=FLOP,
            rate=("embedding", entry["model"], tokens),
            precision="float32",
            memory=inference_bytes(model.config, entry["batch_tokens"]),
            disk=0.0,
        )
