"""Dataclasses made of settings in files: keys and types are checked, and told in a sentence."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dnalm.errors import InputError

T = TypeVar("T")
LARGEST_WHOLE = 2**63 - 1  # what numpy and torch can hold
NAMES = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
NAMES |= {NoneType: "null", dict: "a mapping", list: "a list"}
MAX_SHOWN = 60  # characters of a value


def build(kind: type[T], values: Any, where: str, **parts: type) -> T:
    """Return a `kind` from `values`, its fields named in `parts` built from dictionaries.

    Raises `InputError` naming, as `where`.key, each key that is missing, unknown or holds a value
    of another type than the field's.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is {_shown(values)}; give a mapping of its keys.")
    names = [field.name for field in fields(cast(Any, kind))]
    missing = [f"{where}.{name}" for name in names if name not in values]
    unknown = [f"{where}.{name}" for name in values if name not in names]
    if missing or unknown:
        raise InputError(
            f"The settings of {where} do not fit: "
            + "; ".join(
                f"{word} {', '.join(keys)}"
                for word, keys in (("missing", missing), ("unknown", unknown))
                if keys
            )
            + "; correct these keys in the configuration."
        )
    built: dict[str, Any] = {
        name: build(part, values[name], f"{where}.{name}") for name, part in parts.items()
    }
    made = {**values, **built}
    hints = get_type_hints(kind)
    for name in names:
        if not _fits(made[name], hints[name]):
            raise InputError(
                f"{where}.{name} is {_shown(made[name])}; give {_describe(hints[name])}."
            )
    return kind(**made)


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(hint))
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint is Any:
        return True
    if hint in (int, float):
        whole = type(value) is int and abs(value) <= LARGEST_WHOLE
        return whole or (hint is float and type(value) is float and math.isfinite(value))
    return isinstance(value, origin or hint)


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return " or ".join(repr(one) for one in get_args(hint))
    if origin in (Union, UnionType):
        return " or ".join(map(_describe, get_args(hint)))
    if is_dataclass(hint):
        return "a mapping"
    return NAMES.get(origin or hint, "another value")


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
