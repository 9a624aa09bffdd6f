"""Sheets of tasks: tables of one task a row, whose cells are the keys of an entry of `tasks:`."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from dnalm.configuration.resolve import merge, replace_labels
from dnalm.errors import InputError
from dnalm.files import check_separator, refuse_stream
from dnalm.suggestions import nearest

TEXTS = (
    *("kind", "category", "format", "path", "url", "hub", "revision", "files"),
    *("published_as", "pooling"),
)
NUMBERS = ("classes", "length")
BY_SPLIT = {"rows": ("train_rows", "test_rows"), "sha256": ("train_sha256", "test_sha256")}
MAPPINGS = ("labels", "build")  # YAML in one line
NOTES = ("source", "grade")  # for the reader of the sheet alone
COLUMNS = ("task", *TEXTS, *NUMBERS, *sum(BY_SPLIT.values(), ()), *MAPPINGS, *NOTES)


def add_sheets(config: dict[str, Any], paths: Sequence[str | Path]) -> None:
    """Lay, in place, the tasks of `config` over those of the sheets, which come first.

    Keys are merged, but for labels: an entry of `tasks:` holds only what differs from the row of
    its name.

    Raises InputError for whatever `read_task_sheet` refuses, and for a task of two sheets.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for path in paths:
        rows = read_task_sheet(path)
        if twice := rows.keys() & tasks.keys():
            raise InputError(
                f"{path}: '{min(twice)}' is also in another task sheet; rename it, or write what "
                "is to differ into `tasks:`."
            )
        tasks |= rows
    if isinstance(config.get("tasks"), dict):  # whatever else it is, the schema will say
        own = {"tasks": config["tasks"]}
        config["tasks"] = merge(tasks, config["tasks"])
        replace_labels(config, own)


def list_sheets(config: Mapping[str, Any]) -> list[str]:
    """Return the sheets that `task_sheet` names; none where it is wrong, as the schema will say."""
    given = config.get("task_sheet")
    sheets = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return [sheet for sheet in sheets if isinstance(sheet, str)]


def read_task_sheet(path: str | Path) -> dict[str, dict[str, Any]]:
    """Return {task: entry} of a sheet, in file order; empty cells are left out.

    It is a table with a header, its cells apart by tabs, or by commas where the header has no tab;
    lines that begin with # are skipped. `rows` and `sha256` are two columns each, by split;
    `labels` and `build` are mappings as YAML writes them in one line; `source` and `grade` notes.

    Raises:
        InputError: the sheet is missing or no text, has an unknown column, a row with too many
            cells or without a name, a task twice, or a cell that is not what its column holds.
    """
    try:
        refuse_stream(path)
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: the task sheet is not text; give a table.") from None
    except OSError as error:
        raise InputError(
            f"{path}: the task sheet cannot be read ({error.strerror}); correct `task_sheet`."
        ) from None
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise InputError(f"{path}: the task sheet is empty; give a header and one task a line.")
    separator = "\t" if "\t" in lines[0][1] else ","
    header = [cell.strip() for cell in _split(lines[0][1], separator)]
    check_separator(path, header)
    for column in header:
        if column not in COLUMNS:
            raise InputError(
                f"{path}:{lines[0][0]}: the column '{column}' is unknown{nearest(column, COLUMNS)}"
            )
    if "task" not in header or len(set(header)) < len(header):
        fault = "has a column twice" if "task" in header else "has no column 'task'"
        raise InputError(f"{path}:{lines[0][0]}: the header {fault}; correct it.")
    tasks: dict[str, dict[str, Any]] = {}
    for number, line in lines[1:]:
        place, cells = f"{path}:{number}", _split(line, separator)
        if len(cells) > len(header):
            raise InputError(
                f"{place}: the row has {len(cells)} cells under {len(header)} columns; correct it."
            )
        row = {key: cell.strip() for key, cell in zip(header, cells, strict=False)}
        name = row.pop("task", "")
        if not name or name in tasks:
            fault = f"'{name}' is listed twice" if name else "the row has no name"
            raise InputError(f"{place}: {fault}; correct its cell 'task'.")
        tasks[name] = _entry(place, {key: cell for key, cell in row.items() if cell})
    return tasks


def _split(line: str, separator: str) -> list[str]:
    # Between tabs a quote is a letter like others: it stands in mappings.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    csv.field_size_limit(max(csv.field_size_limit(), len(line)))  # it stops at 131,072 unasked
    return next(csv.reader(io.StringIO(line), delimiter=separator, quoting=quoting))


def _entry(place: str, row: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {key: row[key] for key in TEXTS if key in row}
    entry |= {key: _number(place, key, row[key]) for key in NUMBERS if key in row}
    for key, columns in BY_SPLIT.items():
        given: dict[str, Any] = {
            column.removesuffix(f"_{key}"): row[column] for column in columns if column in row
        }
        if key == "rows":
            given = {split: _number(place, key, text) for split, text in given.items()}
        entry |= {key: given} if given else {}
    return entry | {key: _mapping(place, key, row[key]) for key in MAPPINGS if key in row}


def _number(place: str, key: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise InputError(
            f"{place}: the {key} is '{text[:60]}'; give a whole number or leave it empty."
        )
    return int(text)


class _CellLoader(yaml.SafeLoader):
    """Reads YAML without references, of which a few letters make gigabytes, and without twins."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            raise yaml.YAMLError("a key twice")
        return found


def _mapping(place: str, key: str, text: str) -> dict[str, Any]:
    try:
        found = yaml.load(text, _CellLoader)  # a safe one
        json.dumps(found)  # dates, bytes and what holds itself are no part of a task
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(
            f"{place}: the cell '{key}' is no mapping of texts and numbers ('{text[:60]}'); write "
            "{key: value, ...}, each key once, dates in quotes."
        )
    return found
