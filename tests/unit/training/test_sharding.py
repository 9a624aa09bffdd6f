"""What is exchanged in a step of several passes, and when, counted in four real processes."""

import json
import multiprocessing
import socket

import pytest

from dnalm.training.preflight import LIBRARY
from dnalm.training.settings import Run

PASSES, PATIENCE_SECONDS = 3, 600
PROGRAM = """
import json, os, sys
sys.path.insert(0, library)
os.environ.update(joining)

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.parallel.distributed import Group
from dnalm.training.gradients import FlatGradients
from dnalm.parallel.sharding import Layout, arrange, prepare_pass

class Count(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "c10d":
            name = function.name().removeprefix("c10d::").strip("_")
            counts[name] = counts.get(name, 0) + 1
        return function(*args, **(kwargs or {}))

torch.set_num_threads(1)
group = Group(joining)
found = {}
for reshard in (False, True):
    encoder = Encoder(EncoderConfig(**config))
    initialise(encoder, 1)
    layout = Layout(shards=2, reshard=reshard, activation_checkpointing=False)
    arrange(encoder, layout, group, precision="float32", compiled=False)
    tokens, chosen = torch.arange(7, 47).view(2, 20), torch.tensor([[1, 5, 9], [2, 3, 4]])
    for step in range(2):
        counts = {}
        with Count():
            for number in range(passes):
                prepare_pass(encoder, layout, last=number == passes - 1)
                encoder(tokens, chosen, padded=False).logits.sum().backward()
        found[f"{reshard} {step}"] = counts

def in_backward(encoder, prepare):
    # Returns {collective: count} of each backward pass of a step, forward passes left out.
    global counts
    passes_made = []
    for number in range(passes):
        prepare(number == passes - 1)
        loss = encoder(tokens, chosen, padded=False).logits.sum()
        counts = {}
        with Count():
            loss.backward()
        passes_made.append(counts)
    return passes_made

encoder = Encoder(EncoderConfig(**config))
initialise(encoder, 1)
layout = Layout(shards=2, reshard=False, activation_checkpointing=False)
arrange(encoder, layout, group, precision="float32", compiled=False)
found["shards"] = in_backward(encoder, lambda last: prepare_pass(encoder, layout, last=last))
sums = {}
for overlap in (False, True):
    encoder = Encoder(EncoderConfig(**config))
    initialise(encoder, 1 + group.rank)  # so that gradients differ
    flat = FlatGradients(dict(encoder.named_parameters()), group, in_backward=overlap)
    for step in range(2):
        found[f"copies {overlap} {step}"] = in_backward(
            encoder, lambda last: flat.prepare_pass(last=last)
        )
        counts = {}
        with Count():
            reduced = flat.reduce()
        sums[overlap] = reduced.clone()
        reduced.zero_()
        found[f"reduce {overlap} {step}"] = counts
largest = float((sums[True] - sums[False]).abs().max() / sums[False].abs().max())
found["difference"] = largest
if group.first:
    with open(result, "w") as file:
        json.dump(found, file)
group.close()
"""


@pytest.fixture(scope="module")
def exchanged(make_job, tmp_path_factory, start_together):
    """Return {reshard and step: {collective: count}} of two nodes of two processes."""
    folder = tmp_path_factory.mktemp("exchanged")
    values = {
        "library": str(LIBRARY.parent),
        "config": Run.read(make_job().folder / "run.json").encoder,
        "passes": PASSES,
        "result": str(folder / "counts.json"),
    }
    joining = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "4"}
    context = multiprocessing.get_context("forkserver")
    processes = []
    for rank in range(4):
        own = joining | {"RANK": str(rank), "LOCAL_RANK": str(rank % 2)}
        process = context.Process(target=exec, args=(PROGRAM, {**values, "joining": own}))
        process.start()
        processes.append(process)
    for process in processes:
        process.join(timeout=PATIENCE_SECONDS)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * 4
    return json.loads((folder / "counts.json").read_text())


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


# Two blocks and what lies outside of them.
GROUPS = 3


@pytest.mark.parametrize("step", [0, 1])
def test_weights_are_gathered_once_for_all_passes_unless_they_are_given_up(exchanged, step):
    kept, given_up = exchanged[f"False {step}"], exchanged[f"True {step}"]
    assert kept["allgather_base"] == GROUPS
    # The blocks for every pass, forward and backward; what lies outside once a pass.
    assert given_up["allgather_base"] == PASSES * (2 * (GROUPS - 1) + 1)


@pytest.mark.parametrize("reshard", [False, True])
def test_gradients_travel_between_nodes_once_a_step(exchanged, reshard):
    for step in (0, 1):
        counts = exchanged[f"{reshard} {step}"]
        assert counts["allreduce"] == GROUPS
        assert counts["reduce_scatter_base"] == PASSES * GROUPS


def test_shards_sum_their_gradients_inside_of_the_backward_pass(exchanged):
    """So the option to do so is for whole copies alone."""
    *before, last = exchanged["shards"]
    assert all(counts.get("reduce_scatter_base") == GROUPS for counts in (*before, last))
    assert not any("allreduce" in counts for counts in before)
    assert last["allreduce"] == GROUPS


@pytest.mark.parametrize("step", [0, 1])
def test_whole_copies_sum_block_by_block_inside_of_the_last_backward_pass(exchanged, step):
    # Two blocks, what lies before them and what lies behind.
    assert exchanged[f"copies True {step}"] == [{}] * (PASSES - 1) + [{"allreduce": 4}]
    assert exchanged[f"reduce True {step}"] == {}
    assert exchanged[f"copies False {step}"] == [{}] * PASSES
    assert exchanged[f"reduce False {step}"] == {"allreduce": 1}
    assert exchanged["difference"] < 1e-6
