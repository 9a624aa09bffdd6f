"""Precision by what devices can do, and results fetched from them."""

import logging

import numpy as np
import pytest
import torch

from dnalm import devices
from dnalm.devices import compute_in, fetch, find_precision, settle_precision
from dnalm.errors import InputError

CPU = {"CPU": None}
VOLTA, HOPPER = {"Tesla V100 (cuda:0)": (7, 0)}, {"NVIDIA H200 (cuda:1)": (9, 0)}


@pytest.mark.parametrize(
    ("name", "found", "best", "expected"),
    [
        ("auto", CPU, "bf16", "float32"),
        ("auto", VOLTA, "bf16", "float32"),
        ("auto", HOPPER, "bf16", "bf16"),
        ("auto", HOPPER, "tf32", "tf32"),
        ("auto", VOLTA | HOPPER, "bf16", "float32"),
        ("tf32", CPU, "bf16", "float32"),
        ("tf32", VOLTA | HOPPER, "bf16", "float32"),
        ("tf32", HOPPER, "bf16", "tf32"),
        ("bf16", CPU, "bf16", "bf16"),
        ("bf16", HOPPER, "bf16", "bf16"),
        ("float32", HOPPER, "bf16", "float32"),
    ],
)
def test_precision_is_the_best_that_all_devices_have(name, found, best, expected):
    assert settle_precision(name, "embed.precision", found, best) == expected


def test_mixed_gpus_compute_in_what_they_share_and_one_line_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        settle_precision("auto", "embed.precision", VOLTA | HOPPER, "bf16")
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("Tesla V100 (cuda:0) lacks")
    assert "float32" in said


def test_bf16_is_refused_where_a_gpu_can_only_emulate_it():
    wanted = r"^embed.precision is 'bf16', which Tesla V100 \(cuda:0\) .*auto or float32"
    with pytest.raises(InputError, match=wanted):
        settle_precision("bf16", "embed.precision", HOPPER | VOLTA, "bf16")


def test_a_cpu_computes_in_float32_unless_told_otherwise():
    assert find_precision("auto", "embed.precision", ["cpu"]) == "float32"
    assert find_precision("bf16", "embed.precision", [torch.device("cpu")]) == "bf16"


@pytest.mark.parametrize(
    ("precision", "kind", "products"),
    [
        ("float32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bf16", torch.bfloat16, "highest"),
    ],
)
def test_products_are_of_the_precision_within_the_block_alone(precision, kind, products):
    torch.set_float32_matmul_precision("medium")  # by whoever computes beside
    try:
        with compute_in(precision, torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
            assert torch.get_float32_matmul_precision() == products
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("count", [0, 1, 4, 7, 8])
def test_results_come_in_their_order_and_of_another_device_many_at_a_time(count, monkeypatch):
    class Remote:
        """A result of a device that counts what had been computed when it was fetched."""

        device = torch.device("cuda")

        def __init__(self, number):
            self.number = number

        def cpu(self):
            waits.append(len(computed))
            return torch.tensor(self.number)

    def compute():
        for number in range(count):
            computed.append(number)
            yield number, Remote(number)

    computed, waits = [], []
    monkeypatch.setattr(devices, "FETCHED_AT_ONCE", 4)
    assert list(fetch(compute())) == [(number, np.array(number)) for number in range(count)]
    assert waits == [min(4 * (number // 4 + 1), count) for number in range(count)]


def test_results_of_a_cpu_come_at_once():
    computed = []

    def compute():
        for number in range(3):
            computed.append(number)
            yield number, torch.tensor(number)

    for number, array in fetch(compute()):
        assert (len(computed), int(array)) == (number + 1, number)
