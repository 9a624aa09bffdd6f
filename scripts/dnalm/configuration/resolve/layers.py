"""Layers of a configuration, merged into one."""

from collections.abc import Mapping
from typing import Any

# The sections of entries by their names.
ENTRIES = (
    *("genomes", "panels", "corpora", "models", "tasks", "predictions", "variants"),
    *("annotations", "snps", "assays", "tracks"),
)


def drop_removed(config: dict[str, Any]) -> None:
    """Take away, in place, the inherited keys of an entry that an overlay has set to null."""
    for section in ENTRIES:
        entries = config.get(section)
        for entry in entries.values() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):  # whatever else it is, the schema will say
                for key in [key for key, value in entry.items() if value is None]:
                    del entry[key]


def replace_labels(config: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Let, in place, the labels of a layer of `config` stand alone; all else was merged into it.

    Labels, `labels_by_name` and the like, say of all that is in a file what it means, and the order
    of patterns counts: those of a layer below would stay, and come first.
    """
    for section in ("task", "tasks", "build"):
        if isinstance(layer.get(section), Mapping):
            _replace_labels(config.get(section), layer[section])


def _replace_labels(merged: Any, layer: Mapping[str, Any]) -> None:
    for key, value in layer.items() if isinstance(merged, dict) else ():
        if key == "labels" or str(key).startswith("labels_by_"):
            merged[key] = value
        elif isinstance(value, Mapping):
            _replace_labels(merged.get(key), value)


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overrides` written over it, mappings merged key by key."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
