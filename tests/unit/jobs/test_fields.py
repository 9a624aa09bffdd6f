"""Settings in files become dataclasses only with the right keys and types."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from dnalm.errors import InputError
from dnalm.jobs.fields import build


@dataclass(frozen=True, kw_only=True)
class Part:
    share: float


@dataclass(frozen=True, kw_only=True)
class Whole:
    count: int
    kind: Literal["a", "b"] | bool
    name: str | None
    part: Part


RIGHT = {"count": 3, "kind": "a", "name": None, "part": {"share": 1}}


def test_right_settings_become_what_they_describe():
    assert build(Whole, RIGHT, "run", part=Part).part.share == 1
    assert build(Whole, {**RIGHT, "kind": True, "name": "x"}, "run", part=Part).kind is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": "3"}, "run.count is '3'; give a whole number."),
        ({"count": True}, "run.count is True; give a whole number."),
        ({"count": 1.0}, "run.count is 1.0; give a whole number."),
        ({"count": 2**63}, "give a whole number."),
        ({"kind": "c"}, "run.kind is 'c'; give 'a' or 'b' or true or false."),
        ({"name": 1}, "run.name is 1; give a text or null."),
        ({"part": []}, "run.part is []; give a mapping of its keys."),
        ({"part": {"share": math.nan}}, "run.part.share is nan; give a finite number."),
        ({"part": {"share": "a" * 500}}, "...; give a finite number."),
        ({"part": {}}, "The settings of run.part do not fit: missing run.part.share;"),
        ({"more": 1}, "unknown run.more;"),
    ],
)
def test_a_wrong_key_or_type_is_said(change, said):
    with pytest.raises(InputError) as refused:
        build(Whole, RIGHT | change, "run", part=Part)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


def test_what_is_no_mapping_is_said():
    with pytest.raises(InputError, match=r"run is \[1\]; give a mapping"):
        build(Whole, [1], "run", part=Part)
