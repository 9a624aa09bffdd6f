"""Adam beside the classes of torch.optim, bit for bit, and without what these load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dnalm.model.adam import Adam

SCRIPTS = Path(__file__).parents[3] / "scripts"
STEPS, RATES = 7, (1e-2, 3e-3)
SETTINGS = {"betas": (0.9, 0.98), "eps": 1e-6}


def train(network: nn.Module, update) -> list[torch.Tensor]:
    """Return the parameters after steps by `update` at two rates; one parameter is never used."""
    generator = torch.Generator().manual_seed(5)
    for step in range(STEPS):
        network[0](torch.randn(6, 3, generator=generator)).square().sum().backward()
        update(RATES[step % 2])
    return [parameter.detach().clone() for parameter in network.parameters()]


def make_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))


@pytest.mark.parametrize(
    ("peer", "decay", "fused"),
    [
        (torch.optim.Adam, 0.0, False),
        (torch.optim.AdamW, 0.1, True),
        (torch.optim.AdamW, 0.1, False),
    ],
)
def test_steps_are_those_of_torch_bit_for_bit(peer, decay, fused):
    ours, theirs = make_network(), make_network()
    optimizer = Adam(ours.parameters(), **SETTINGS, weight_decay=decay, fused=fused)
    other = peer(theirs.parameters(), **SETTINGS, weight_decay=decay, fused=fused or None)

    def update_ours(rate):
        optimizer.step(rate)
        optimizer.zero_grad()

    def update_theirs(rate):
        other.param_groups[0]["lr"] = rate
        other.step()
        other.zero_grad()

    found, expected = train(ours, update_ours), train(theirs, update_theirs)
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(found[0], make_network()[0].weight)
    assert torch.equal(found[2], make_network()[1].weight)  # had no gradient
    for mine, its in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        state = other.state[its]
        assert all(torch.equal(state[key], value) for key, value in optimizer.state[mine].items())


def test_a_step_does_not_load_the_compiler():
    code = (
        "import sys, torch\n"
        "from dnalm.model.adam import Adam\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "for fused in (True, False):\n"
        "    weight.grad = torch.ones(3)\n"
        "    Adam([weight], betas=(0.9, 0.99), eps=1e-8, fused=fused).step(1e-3)\n"
        "print(weight[0].item() < 1, 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False"]
