"""The smallest input with a fault: delta debugging (Zeller and Hildebrandt 2002)."""

import time
from collections.abc import Callable, Sequence
from random import Random


def shrink(data: bytes, fails: Callable[[bytes], bool], seconds: float) -> bytes:
    """Return a smaller input that still fails, in about so many seconds."""
    stop = time.monotonic() + seconds
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        data = b"".join(_reduce(lines, lambda parts: fails(b"".join(parts)), stop))
    pieces = [bytes([byte]) for byte in data]
    return b"".join(_reduce(pieces, lambda parts: fails(b"".join(parts)), stop))


def _reduce(
    parts: Sequence[bytes], fails: Callable[[Sequence[bytes]], bool], stop: float
) -> Sequence[bytes]:
    size = max(1, len(parts) // 2)
    while len(parts) > 1:
        begin, found = 0, False
        while begin < len(parts) and time.monotonic() < stop:
            rest = [*parts[:begin], *parts[begin + size :]]
            if fails(rest):
                parts, found = rest, True
            else:
                begin += size
        if time.monotonic() >= stop or (size == 1 and not found):
            break
        size = size if found and size == 1 else max(1, size // 2)
    return parts


def shrink_generated(
    generate: Callable[[Random, int], bytes],
    data: bytes,
    fails: Callable[[bytes], bool],
    seconds: float,
) -> bytes:
    """Return a smaller valid input that fails, made anew from the smallest size on."""
    stop, number = time.monotonic() + seconds, 0
    for size in range(1, 12):
        for _ in range(60):
            if time.monotonic() >= stop:
                return data
            number += 1
            other = generate(Random(number), size)
            if len(other) < len(data) and fails(other):
                return other
    return data
