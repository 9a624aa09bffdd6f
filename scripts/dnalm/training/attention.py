"""Choice of torch's attention kernel (SDPA backend) by measurement on this device.

Shape letters: B sequences, H heads, T tokens, h width of a head.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

KERNELS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")
# Plain matrix products: serve all inputs, store T · T weights and are never the fastest.
LAST_RESORT = "MATH"
WARM_UPS, REPEATS = 2, 5

logger = logging.getLogger(__name__)


def time_kernels(
    shape: tuple[int, int, int, int], kind: torch.dtype, device: torch.device
) -> dict[str, float]:
    """Return {kernel: seconds} of attention forward and backward on [B, H, T, h], fastest first.

    A kernel that does not take such tensors on this device is left out.
    """
    inputs = [torch.randn(shape, dtype=kind, device=device, requires_grad=True) for _ in range(3)]
    seconds = {}
    for name in KERNELS:
        # Where a kernel cannot serve, torch warns with its reasons and raises without them.
        with warnings.catch_warnings(), suppress(RuntimeError):
            warnings.simplefilter("ignore")
            with sdpa_kernel(SDPBackend.__members__[name]):
                seconds[name] = _time(lambda: _pass(inputs), device)
    ordered = dict(sorted(seconds.items(), key=lambda entry: entry[1]))
    logger.info("Seconds of attention kernels, the first is used where it can: %s", ordered)
    return ordered


@contextmanager
def prefer_kernels(names: list[str]) -> Iterator[None]:
    """Prefer attention kernels within the block: the first of `names` that can serve the inputs.

    With no names torch chooses as it always does. Kernels that are not named come last: a bias
    for pads is more than the fastest can do.
    """
    if not names:
        yield
        return
    others = [name for name in (*KERNELS, LAST_RESORT) if name not in names]
    backends = [SDPBackend.__members__[name] for name in (*names, *others)]
    with sdpa_kernel(backends, set_priority=True):
        yield


def _pass(inputs: list[Tensor]) -> None:
    scaled_dot_product_attention(*inputs).sum().backward()


def _time(function: Callable[[], None], device: torch.device) -> float:
    for _ in range(WARM_UPS):
        function()
    _wait(device)
    begun = time.perf_counter()
    for _ in range(REPEATS):
        function()
    _wait(device)
    return (time.perf_counter() - begun) / REPEATS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
