"""Values that nobody means, in the structures of JSON, and changes of such structures."""

import copy
import datetime
import json
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 65_536, 2**31, 2**63 - 1, 2**63, -(2**63), 10**400),
    *(0.0, 0.5, 1.0, 1.5, -1.5, 1e-300, 1e300, math.nan, math.inf, -math.inf),
    *(
        "",
        " ",
        "a",
        "..",
        ".",
        "/",
        "~",
        "a/b",
        "a b",
        "a\nb",
        "\0",
        "a\tb",
        "{x}",
        "{",
        "<results>",
    ),
    *(
        "a" * 300,
        "²",
        "é",
        "\ud800",
        "1",
        "1e-4",
        "no",
        "null",
        "NaN",
        "*",
        "(",
        "[a",
        "%s",
        "\x1b[1m",
    ),
    *("http://h.org/a", "ftp://h.org", "file:///etc/passwd", "s3://a/b", "u:p@h/x", "-rf", "$HOME"),
    *([], [[]], [None], [1], ["a"], [["x"]], [{}], ["a", "a"], list(range(200)), [math.nan]),
    *({}, {"a": "b"}, {"x": {"y": 1}}, {"": 1}, {"a" * 300: 1}),
)
DATE = "date:"
LARGEST_FLOAT = 1e300


def dump(value: Any) -> bytes:
    """Return a value as JSON; keys and values that JSON has not are kept by a mark."""
    return json.dumps(_coded(value)).encode()


def load(data: bytes) -> Any:
    """Return the value of `dump`."""
    return _decoded(json.loads(data))


def _coded(value: Any) -> Any:
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and "__pairs__" not in value:
            return {key: _coded(one) for key, one in value.items()}
        return {"__pairs__": [[_coded(key), _coded(one)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return [_coded(one) for one in value]
    return {"__date__": value.isoformat()} if isinstance(value, datetime.date) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "__pairs__" in value:
        return {_decoded(key): _decoded(one) for key, one in value["__pairs__"]}
    if "__date__" in value:
        return datetime.date.fromisoformat(value["__date__"])
    return {key: _decoded(one) for key, one in value.items()}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def at(value: Any, path: Sequence[Any]) -> Any:
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


def odd(random: Random) -> Any:
    """Return a value that nobody means."""
    return copy.deepcopy(random.choice(ODD))


def change(value: Any, random: Random, more: Sequence[Any] = ()) -> Any:
    """Return a structure with one value or key changed; `more` are values to put there."""
    value = copy.deepcopy(value)
    paths = list(places(value))
    if not paths:
        return odd(random)
    *above, key = random.choice(paths)
    holder = at(value, above)
    new = random.choice(more) if more and random.random() < 0.3 else odd(random)
    match random.randrange(8):
        case 0 | 1 | 2:
            holder[key] = new
        case 3:
            del holder[key]
        case 4:  # a value of elsewhere
            holder[key] = copy.deepcopy(at(value, random.choice(paths)))
        case 5 if isinstance(holder, dict):
            holder[
                random.choice((new if isinstance(new, str | int | float) else "x", f"{key}x"))
            ] = holder.pop(key)
        case 6 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), new)
        case 6 | 7 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = random.choice(
                (
                    holder[key] * 2,
                    -holder[key],
                    holder[key] + 1,
                    # A whole number may be larger than any float, and longer than Python writes.
                    float(holder[key]) if abs(holder[key]) < LARGEST_FLOAT else 1e308,
                    f"{holder[key]:.3g}" if abs(holder[key]) < LARGEST_FLOAT else "1e999",
                )
            )
        case _:
            holder[key] = [holder[key]] if random.random() < 0.5 else {"a": holder[key]}
    return value


def mutate_json(more: Sequence[Any] = ()) -> Callable[[bytes, Random], bytes]:
    """Return a mutation of a JSON text by its structure."""

    def mutate(data: bytes, random: Random) -> bytes:
        try:
            value = json.loads(data)
        except ValueError:
            return data
        for _ in range(1 + (random.random() < 0.3)):
            value = change(value, random, more)
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError):
            return data

    return mutate
