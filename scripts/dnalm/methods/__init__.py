"""The table of methods: probes, adapters for fine-tuning, and baselines.

A new method is a row of one of the three modules. Configuration, rules, training and the report
read the table and decide by a field, never by a method's name. Functions are given by their dotted
paths: nothing is imported until one is called.
"""

from collections.abc import Callable
from importlib import import_module

from dnalm.methods.adapters import (
    ADAPTER_NAMES,
    ADAPTERS,
    FULL,
    LORA_TARGETS,
    Adapter,
    find_adapter,
    warn_of_rate,
)
from dnalm.methods.baselines import (
    BASELINE_NAMES,
    BASELINES,
    KMERS,
    NETWORKS,
    SEQUENCE_BASELINES,
    UNTRAINED,
    Baseline,
    find_baseline,
)
from dnalm.methods.probes import LINEAR, PROBE_NAMES, PROBES, Probe, find_probe

__all__ = [
    "ADAPTERS",
    "ADAPTER_NAMES",
    "ANOTHER",
    "BASELINE",
    "BASELINES",
    "BASELINE_NAMES",
    "BY_NAME",
    "FULL",
    "KMERS",
    "LINEAR",
    "LORA_TARGETS",
    "NETWORKS",
    "PROBES",
    "PROBE_NAMES",
    "SEQUENCE_BASELINES",
    "STRONGEST",
    "UNTRAINED",
    "Adapter",
    "Baseline",
    "Probe",
    "find_adapter",
    "find_baseline",
    "find_function",
    "find_probe",
    "warn_of_rate",
]

BASELINE = "baseline"  # the method of every result that no language model has a part in
# What the table of comparisons calls two that are no row here: the baseline of sequences with the
# best validation score on a task, and another trained model or method.
STRONGEST, ANOTHER = "strongest baseline", "another"
# Probes, and fine-tuning by the name of its adapter.
BY_NAME: dict[str, Probe | Adapter] = {method.name: method for method in (*PROBES, *ADAPTERS)}


def find_function(path: str) -> Callable:
    """Return the function of a dotted path, imported now."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
