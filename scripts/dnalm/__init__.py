"""The library behind the workflow: bases and tokens, the encoder, its training and its benchmark.

The names below are its public door, `from dnalm import load_model`; each loads what it needs when
it is first asked for. All else may move. The library knows no Snakemake, no config file and no
path convention of the workflow's rules; the scripts beside it do.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "read_genome": "dnalm.interface",
    "tokenize": "dnalm.interface",
    "load_model": "dnalm.interface",
    "embed": "dnalm.interface",
    "predict_masked": "dnalm.interface",
    "load_classifier": "dnalm.interface",
    "predict": "dnalm.interface",
    "predict_file": "dnalm.interface",
    "InputError": "dnalm.errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dnalm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
