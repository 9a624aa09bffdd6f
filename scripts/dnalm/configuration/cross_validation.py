"""Splits of tasks in the configuration: what a task's resolve to, and what does not fit in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.benchmark.tasks.schemes import GIVEN, GROUPED
from dnalm.configuration.resolve import list_roles, resolve_task

CONTIG = "contig"  # the only column of rows that are cut from a genome


def resolve_cross_validation(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the splits of a task: the section `cross_validation` and what the task has of it.

    Keys that the scheme does not read are left out: they change no table.
    """
    settings = {**config["cross_validation"], **_own(config, name)}
    unread = set()
    if settings["scheme"] not in GROUPED:
        unread = {"group", "validation"}
    elif settings["scheme"] != GIVEN:
        unread = {"validation"}
    return {key: value for key, value in settings.items() if key not in unread}


def find_cross_validation_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per task whose splits cannot be made of its rows."""
    for name, entry in config["tasks"].items():
        key = f"tasks.{name}.cross_validation"
        settings = {**config["cross_validation"], **_own(config, name)}
        scheme, group = settings["scheme"], settings["group"]
        validated = "validation" in list_roles(resolve_task(config, name))
        if scheme not in GROUPED and "group" in _own(config, name):
            yield (
                f"{key}.group: the scheme {scheme} reads no groups; remove the key, or write"
                " grouped or leave_one_group_out."
            )
        ungrouped = scheme == GIVEN and group is None and validated
        if "validation" in _own(config, name) and (scheme != GIVEN or ungrouped):
            missing = "names no `group`, the column of" if scheme == GIVEN else "does not read"
            yield (
                f"{key}.validation: the scheme {scheme} {missing} these groups; remove the key, or"
                " write scheme: given and the column as `group`."
            )
        if validated and scheme != GIVEN:
            yield (
                f"{key}.scheme: the task has validation files, which the scheme {scheme} does not"
                " use; write given, or name the files under train."
            )
        if scheme in GROUPED and group is None and not (scheme == GIVEN and validated):
            wanted = "or validation files" if scheme == GIVEN else "such as contig"
            yield (
                f"{key}.group: the scheme {scheme} needs the column that says which rows belong"
                f" together; name one, {wanted}."
            )
        if scheme in GROUPED and "build" in entry and group not in (None, CONTIG):
            yield (
                f"{key}.group: rows that are cut from a genome have no column '{group}'; write"
                f" {CONTIG}."
            )


def _own(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return config["tasks"][name].get("cross_validation", {})
