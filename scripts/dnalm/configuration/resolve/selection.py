"""Entries of the configuration that its section `run` asks for."""

import fnmatch
from collections.abc import Mapping
from typing import Any


def select_tasks(config: Mapping[str, Any]) -> list[str]:
    """Return the tasks that run.tasks asks for, in the order of the configuration."""
    patterns = config["run"]["tasks"]
    return [name for name in config["tasks"] if any(fnmatch.fnmatch(name, p) for p in patterns)]


def select_predictions(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of `predictions:` that run.predictions asks for, by their names."""
    patterns, entries = config["run"]["predictions"], config["predictions"]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: entries[name] for name in chosen}


def select_variants(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of `variants:` that run.variants asks for, by their names."""
    patterns, entries = config["run"]["variants"], config["variants"]
    chosen = (name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns))
    return {name: entries[name] for name in chosen}
