"""Estimates of memory and speed, and what follows from them."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from dnalm.configuration.cluster import resolve_operation
from dnalm.configuration.resolve import resolve_corpus, resolve_run
from dnalm.errors import InputError
from dnalm.model.config import EncoderConfig, count_parameters
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import Layout, arrange
from dnalm.training.estimates import count_traffic, count_work, write_estimates
from dnalm.training.memory import (
    CPU_MICRO_BATCH,
    Load,
    choose_layout,
    choose_micro_batch,
    estimate_memory,
    examine_pass,
)
from dnalm.training.settings import Operation, Run, write_settings

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
MODELS = [name for name, model in CONFIG["models"].items() if "corpus" in model]
GENERATIONS = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {},
}
WHOLE = Layout(shards=1, reshard=False, activation_checkpointing=False)
SHARDS = Layout(shards=8, reshard=True, activation_checkpointing=False)
AGAIN = Layout(shards=1, reshard=False, activation_checkpointing=True)


@pytest.fixture
def wide(make_job):
    """Return a function that makes the config of an encoder in which nothing small counts."""

    def make(generation):
        encoder = Run.read(make_job().folder / "run.json").encoder
        return EncoderConfig(
            **encoder
            | {"layers": 6, "heads": 4, "width": 64, "ffn_width": 256, "max_tokens": 128}
            | GENERATIONS[generation]
        )

    return make


def count_kept(encoder, load):
    """Return the bytes of all tensors that a forward pass keeps for its backward pass."""
    own = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no other one gets its address
        return tensor

    tokens = torch.randint(4, 75, (load.sequences, load.tokens))
    selected = torch.arange(load.selected).expand(load.sequences, -1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = encoder(tokens, selected, padded=False).logits
        logits.log_softmax(-1).sum()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("generation", GENERATIONS)
def test_activations_are_what_a_forward_pass_keeps(wide, generation):
    config = wide(generation)
    encoder = Encoder(config)
    initialise(encoder, 1)
    load = Load(sequences=8, tokens=100, selected=15, precision="float32")
    estimate = estimate_memory(config, WHOLE, load)
    kept = count_kept(encoder, load)
    assert estimate.activations == pytest.approx(kept, rel=0.06)
    arrange(encoder, AGAIN, Group(None), precision="float32", compiled=False)
    once = estimate_memory(config, AGAIN, load).activations - kept / config.layers
    assert once == pytest.approx(count_kept(encoder, load), rel=0.35)


def test_weights_gradients_and_adam_take_sixteen_bytes_a_parameter_or_a_shard_of_them(wide):
    config = wide("v2")
    parameters = count_parameters(config)
    load = Load(sequences=1, tokens=50, selected=7, precision="float32")
    memory = estimate_memory(config, WHOLE, load)
    assert (memory.weights, memory.gradients, memory.adam) == (
        4 * parameters,
        4 * parameters,
        8 * parameters,
    )
    many = replace(SHARDS, shards=64)
    sharded, half = (
        estimate_memory(config, many, replace(load, precision=precision))
        for precision in ("float32", "bf16")
    )
    assert sharded.adam == pytest.approx(8 * parameters / 64, rel=0.01)
    assert sharded.total < memory.total
    assert half.weights < sharded.weights
    assert half.activations < sharded.activations


@pytest.mark.parametrize(
    ("settings", "gigabytes", "processes", "expected"),
    [
        ({}, 100, 8, WHOLE),
        ({}, 0.0075, 8, replace(SHARDS, reshard=False)),
        ({"reshard": True}, 0.0075, 8, SHARDS),
        ({}, 0.004, 8, replace(SHARDS, activation_checkpointing=True)),
        ({}, 0.0075, 1, AGAIN),
        ({"sharding": "none"}, 0.0075, 8, AGAIN),
        ({"sharding": "none", "activation_checkpointing": False}, 0.0075, 8, WHOLE),
        ({"sharding": "full"}, 100, 8, replace(SHARDS, reshard=False)),
        ({"sharding": "full", "reshard": True}, 100, 8, SHARDS),
        ({"sharding": "hybrid"}, 100, 8, replace(SHARDS, shards=4, reshard=False)),
        ({"sharding": "full"}, 100, 1, WHOLE),
        ({"activation_checkpointing": True}, 100, 8, AGAIN),
    ],
)
def test_what_is_left_to_the_machine_follows_from_its_memory(
    wide, operation_settings, settings, gigabytes, processes, expected
):
    config = wide("v1")
    load = Load(sequences=1, tokens=100, selected=15, precision="float32")
    operation = Operation.from_dict(operation_settings | settings)
    on_node = min(processes, 4)
    options = {"processes": processes, "on_node": on_node, "device_bytes": int(gigabytes * 1e9)}
    assert choose_layout(config, operation, load, **options) == expected


@pytest.mark.parametrize("settings", [{}, {"sharding": "full"}, {"sharding": "hybrid"}])
def test_as_many_sequences_are_taken_as_fit_and_no_more(wide, operation_settings, settings):
    config = wide("v1")
    load = Load(sequences=99, tokens=100, selected=15, precision="float32")
    operation = Operation.from_dict(operation_settings | settings | {"micro_batch": "auto"})
    machine = {"processes": 8, "on_node": 4, "device_bytes": 20_000_000}
    found = choose_micro_batch(config, operation, load, most=1000, on_cpu=False, **machine)
    layout = choose_layout(config, operation, replace(load, sequences=1), **machine)
    room = machine["device_bytes"]
    assert estimate_memory(config, layout, replace(load, sequences=found)).fits(room)
    assert not estimate_memory(config, layout, replace(load, sequences=found + 1)).fits(room)
    assert 1 < found < 1000
    few = choose_micro_batch(config, operation, load, most=3, on_cpu=False, **machine)
    assert few == 3
    on_cpu = choose_micro_batch(config, operation, load, most=1000, on_cpu=True, **machine)
    assert on_cpu == CPU_MICRO_BATCH
    given = replace(operation, micro_batch=7)
    assert choose_micro_batch(config, given, load, most=3, on_cpu=False, **machine) == 7


@pytest.mark.parametrize(
    ("settings", "processes", "advice"),
    [
        ({"activation_checkpointing": False}, 1, "set operation.activation_checkpointing to true"),
        ({}, 1, "give it several devices"),
        ({"sharding": "hybrid"}, 8, "set operation.sharding to full"),
        ({"sharding": "full", "reshard": False}, 8, "set operation.reshard to true"),
        ({"sharding": "full"}, 8, "give it more than 8 devices"),
    ],
)
def test_too_little_memory_for_one_sequence_is_a_sentence_with_the_numbers(
    wide, operation_settings, settings, processes, advice
):
    config = wide("v1")
    load = Load(sequences=1, tokens=100, selected=15, precision="float32")
    operation = Operation.from_dict(operation_settings | {"micro_batch": "auto"} | settings)
    machine = {"processes": processes, "on_node": min(processes, 4), "device_bytes": 1_000_000}
    wanted = rf"^One sequence of 100 tokens takes 0\.0\d GB .*, but a process has .*{advice}"
    with pytest.raises(InputError, match=wanted):
        choose_micro_batch(config, operation, load, most=9, on_cpu=False, **machine)


@pytest.mark.parametrize("settings", [{}, {"sharding": "full"}, {"sharding": "none"}])
def test_the_largest_pass_that_is_named_is_the_largest_that_fits(
    wide, operation_settings, settings
):
    config = wide("v1")
    operation = Operation.from_dict(operation_settings | settings | {"micro_batch": 500})
    machine = {"processes": 8, "on_node": 4, "device_bytes": 20_000_000}
    load = Load(sequences=500, tokens=100, selected=15, precision="float32")
    with pytest.raises(InputError) as refused:
        examine_pass(config, operation, load, most=1000, **machine)
    largest = int(re.search(r"micro_batch to (\d+), the most", str(refused.value))[1])
    assert largest > 1
    fitting = examine_pass(
        config, operation, replace(load, sequences=largest), most=1000, **machine
    )
    assert (fitting.sequences, fitting.memory.fits(20_000_000)) == (largest, True)
    with pytest.raises(InputError, match=f"to {largest}, the most"):
        examine_pass(config, operation, replace(load, sequences=largest + 1), most=1000, **machine)


def test_a_pass_is_refused_in_other_words_where_not_one_sequence_fits(wide, operation_settings):
    operation = Operation.from_dict(operation_settings | {"micro_batch": 8, "sharding": "none"})
    load = Load(sequences=8, tokens=100, selected=15, precision="float32")
    machine = {"processes": 1, "on_node": 1, "device_bytes": 1_000_000}
    wanted = (
        r"^A pass of 8 sequences of 100 tokens takes 0\.\d+ GB .*not even one fits; give it sev"
    )
    with pytest.raises(InputError, match=wanted):
        examine_pass(wide("v1"), operation, load, most=9, **machine)


def test_the_work_of_a_sequence_is_that_of_its_weights_and_pairs(wide):
    config = wide("v1")
    with torch.device("meta"):
        encoder = Encoder(config)
    load = Load(sequences=1, tokens=100, selected=15, precision="bf16")
    everywhere = 2 * (64 * 64 + 64)  # keys and values, all that the last block makes of all tokens
    block = 2 * everywhere + 2 * 64 * 256 + 256 + 64 + 4 * 64
    head = 64 * 64 + 64 + 2 * 64 + 65 * 75 - 75 + 75
    pairs = 12 * 64 * 100
    of_token = 6 * (5 * block + everywhere) + 5 * pairs
    of_token += 0.15 * (6 * (block - everywhere + head) + pairs)
    work = count_work(encoder, WHOLE, load)
    assert work == pytest.approx(100 * of_token, rel=0.01)
    assert count_work(encoder, AGAIN, load) == pytest.approx(work * 4 / 3, rel=0.02)


@pytest.fixture(scope="module")
def largest():
    """The encoder of 2,547,800,585 parameters, without their values."""
    run = Run.from_dict(resolve_run(CONFIG, "2.5b-multi-species"))
    with torch.device("meta"):
        return Encoder(EncoderConfig(**run.encoder))


@pytest.mark.parametrize(
    ("shards", "passes", "precision", "gigabytes"),
    [
        (1, 4, "bf16", 20.223),  # 2 · 127 / 128 · 4 bytes, once a step
        (8, 4, "bf16", 19.109),  # 2 · 15 / 16 · 4 bytes, once a step
        (128, 1, "bf16", 20.223),  # 127 / 128 · (2 + 2 + 4) bytes
        (128, 4, "bf16", 80.893),  # in each of four passes
    ],
)
def test_what_a_node_of_sixteen_sends_in_a_step(largest, shards, passes, precision, gigabytes):
    options = {"shards": shards, "processes": 128, "passes": passes, "precision": precision}
    assert count_traffic(largest, **options) == pytest.approx(gigabytes * 1e9, rel=1e-4)


def test_shards_in_float32_are_gathered_in_float32_and_one_node_sends_nothing(largest):
    """32 blocks of 78,676,480 parameters at 12 bytes, the other 30,153,225 at 8."""
    blocks, outside = 32 * 78_676_480, 2_547_800_585 - 32 * 78_676_480
    assert sum(p.numel() for p in largest.blocks.parameters()) == blocks
    options = {"passes": 1, "precision": "float32"}
    sent = count_traffic(largest, shards=16, processes=16, **options)
    assert sent == pytest.approx(15 / 16 * (12 * blocks + 8 * outside))
    assert count_traffic(largest, shards=8, processes=8, **options) == 0


def test_all_models_of_the_paper_are_tabulated_without_a_genome(tmp_path):
    """2.5 B parameters: 46 GB in whole copies, which 80 GB hold with two sequences."""
    paths = {}
    for name in MODELS:
        paths[name] = tmp_path / f"{name}.run.json", tmp_path / f"{name}.operation.json"
        write_settings(paths[name][0], resolve_run(CONFIG, name))
        write_settings(
            paths[name][1], resolve_operation(CONFIG, name) | {"scratch": None, "micro_batch": 2}
        )
    operations = {name: operation for name, (_, operation) in paths.items()}
    corpora = {name: resolve_corpus(CONFIG, name, []) for name in CONFIG["corpora"]}
    runs = [paths[name][0] for name in reversed(MODELS)]  # each says itself whose it is
    write_estimates(runs, operations, corpora, CONFIG["estimate"], tmp_path / "estimates.tsv")
    with open(tmp_path / "estimates.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(MODELS) == 8
    assert [row["model"] for row in rows[::10]] == MODELS
    assert [int(row["gpus"]) for row in rows[:10]] == [8] * 4 + [128] * 6
    assert {int(row["tokens_per_sequence"]) for row in rows} == {1000, 2001}
    by_layout = {
        (row["sharding"], row["activation_checkpointing"]): row
        for row in rows
        if row["model"] == "2.5b-multi-species" and row["gpus"] == "8"
    }
    whole = by_layout["none", "false"]
    assert int(whole["parameters"]) == 2_547_800_585
    states = sum(float(whole[f"{part}_gb"]) for part in ("weights", "gradients", "adam"))
    assert states == pytest.approx(18 * 2.5478, rel=0.001)  # with a copy in bf16
    assert states < float(whole["total_gb"]) < 72
    assert float(by_layout["full", "true"]["total_gb"]) < 0.25 * float(whole["total_gb"])
    # 6 · N · 300 B tokens at 40 % of eight A100: what paper.md computes for v2-500m, scaled.
    eight = 4.6e21 / (0.4 * 8 * 312e12) / 86_400
    assert float(whole["days_A100-80"]) == pytest.approx(eight, rel=0.1)
    assert float(whole["exchange_days_100_gigabits"]) == 0
    (many,) = (
        row
        for row in rows
        if row["model"] == "2.5b-multi-species"
        and (row["gpus"], row["sharding"]) == ("128", "hybrid")
        and row["activation_checkpointing"] == "false"
    )
    # 300,000 steps of 19.1 GB: 1.53 s at 12.5 GB/s, half of that at 25.
    assert many["exchange_days_100_gigabits"] == "5.3"
    assert many["exchange_days_200_gigabits"] == "2.7"
    days = float(many["days_A100-80"])
    assert days == pytest.approx(eight / 16, rel=0.1)
    assert 6.0 < days + 2.7 < days + 5.3 < 9.0  # nothing of the exchange beside the arithmetic
    assert (many["published_days"], many["published_gpu"]) == ("28", "A100-80")
