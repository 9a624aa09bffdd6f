"""Compiled loops, where their code cannot be kept."""

import pytest
from numba import njit

from dnalm.compiled import compiled


def test_code_without_a_place_for_its_cache_is_compiled_all_the_same():
    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)
    with pytest.raises(RuntimeError, match="no locator"):
        njit(cache=True)(namespace["double"])
    assert compiled(namespace["double"])(4) == 8
