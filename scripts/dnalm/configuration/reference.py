"""Markdown of the reference page of the configuration, from config.yaml's comments and the schema.

A comment belongs to the key on its line or on the line below it; one that goes on below a comment
of a line, and begins in lower case, belongs to that line's key.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

RULER = re.compile(r"# -- .* -+")
LONGEST_DEFAULT = 90
MOST_ENTRIES = 8  # of a mapping whose keys are names, such as the contigs of a genome
TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
    "null": "`null`",
}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


def describe_configuration(text: str, schema: Mapping[str, Any]) -> str:
    """Return every section as Markdown: its comment, its keys, and what an entry of it may hold.

    `text` is config.yaml, `schema` as `read_schema` returns it.
    """
    lines = text.splitlines()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    words = _Words(schema["$defs"])
    parts = []
    for key, value in root.value:
        name = key.value
        rule = words.resolve(schema["properties"][name])
        above, beside = _comments(lines, key, value)
        parts.append("\n".join(_section(lines, name, value, rule, f"{above} {beside}", words)))
    return "\n".join(parts)


def _section(
    lines: Sequence[str],
    name: str,
    value: yaml.Node,
    rule: Mapping[str, Any],
    comment: str,
    words: "_Words",
) -> Iterator[str]:
    yield f"## {name}\n"
    if comment.strip():
        yield f"{_cell(comment)}\n"
    rows = list(_rows(lines, (name,), value, rule, words))
    if not rows:
        default = _default(lines, value)
        rows = [(name, default, words.describe(rule), "")]
    yield "| key | default | may be | meaning |\n|---|---|---|---|"
    for row in rows:
        key, default, allowed, meaning = row
        yield f"| `{key}` | {_code(default)} | {_cell(allowed)} | {_cell(meaning)} |"
    yield ""
    for path, entry in _entries((name,), rule, words):
        yield f"An entry `{'.'.join(path)}.<name>` may hold:\n\n| key | may be |\n|---|---|"
        for key, inner in entry["properties"].items():
            yield f"| `{key}` | {_cell(words.describe(inner))} |"
        yield ""


def _rows(
    lines: Sequence[str],
    path: tuple[str, ...],
    node: yaml.Node,
    rule: Mapping[str, Any],
    words: "_Words",
) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, default, what it may be and its comments, of all keys below a node."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        own = (*path, key.value)
        inner = words.resolve(_rule_of(key.value, rule))
        is_entry = key.value not in rule.get("properties", {}) and "properties" in inner
        allowed = "an entry, see below" if is_entry else words.describe(inner)
        above, beside = _comments(lines, key, value)
        # What stands on one line is shown as it stands, a block key by key.
        is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
        many = is_block and "properties" not in inner and len(value.value) > MOST_ENTRIES
        nested = is_block and not many
        default = f"{len(value.value)} entries" if many else _default(lines, value)
        if not nested or f"{above}{beside}":
            shown = "" if nested else default
            yield ".".join(own), shown, allowed, f"{above} {beside}"
        if nested:
            yield from _rows(lines, own, value, inner, words)


def _entries(
    path: tuple[str, ...], rule: Mapping[str, Any], words: "_Words"
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the mappings of a section whose keys are the user's names, with what one may hold."""
    entry = words.resolve(rule.get("additionalProperties") or {})
    if "properties" in entry:
        yield path, entry
    for key, inner in rule.get("properties", {}).items():
        yield from _entries((*path, key), words.resolve(inner), words)


def _rule_of(key: str, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    known = rule.get("properties", {})
    return known[key] if key in known else rule.get("additionalProperties") or {}


def _comments(lines: Sequence[str], key: yaml.Node, value: yaml.Node) -> tuple[str, str]:
    """Return the comment above a key and the one beside it, with the lines on which it goes on."""
    if lines[key.start_mark.line][: key.start_mark.column].strip():
        return "", ""  # another key begins the line: the comment is that one's
    above: list[str] = []
    line = key.start_mark.line - 1
    while line >= 0 and lines[line].lstrip().startswith("#"):
        above.insert(0, lines[line].strip())
        line -= 1
    if line >= 0 and _goes_on(lines[line], above):
        above = []
    is_block = not isinstance(value, yaml.ScalarNode) and not value.flow_style
    end = key.end_mark if is_block else value.end_mark
    found = re.search(r"\s#\s*(.*)", lines[end.line][end.column :])
    beside = [found[1]] if found else []
    following: list[str] = []
    for text in lines[end.line + 1 :]:
        if not text.lstrip().startswith("#"):
            break
        following.append(text.strip())
    if _goes_on(lines[end.line], following):
        beside += following
    return _joined(above), _joined(beside)


def _goes_on(line: str, comments: Sequence[str]) -> bool:
    """Return whether comment lines go on with the comment at the end of the line above them."""
    return bool(comments) and " #" in line and bool(re.match(r"#\s*[a-z(]", comments[0]))


def _joined(comments: Sequence[str]) -> str:
    return " ".join(text.lstrip("# ") for text in comments if not RULER.fullmatch(text))


def _default(lines: Sequence[str], value: yaml.Node) -> str:
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        text = lines[start.line][start.column : end.column]
    else:
        text = "a list" if isinstance(value, yaml.SequenceNode) else "a mapping"
    return text if len(text) <= LONGEST_DEFAULT else text[: LONGEST_DEFAULT - 1] + "…"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _cell(text: str) -> str:
    """Return text in one line, that neither ends a cell of a table nor opens a tag."""
    return re.sub(r"(?<!`)(<\w+>)(?!`)", r"`\1`", " ".join(text.split())).replace("|", "\\|")


class _Words:
    """Says in words what a part of the schema allows."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def resolve(self, rule: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a rule with the one that it refers to, if it does."""
        for other in [rule] if "$ref" in rule else rule.get("allOf", []):
            if "$ref" in other:
                found = self.resolve(self._definitions[other["$ref"].removeprefix("#/$defs/")])
                rest = {key: value for key, value in rule.items() if key not in ("$ref", "allOf")}
                # What a section demands beside a definition says nothing of what keys may be.
                return {**found, **{k: v for k, v in rest.items() if k != "properties"}}
        return rule

    def describe(self, rule: Mapping[str, Any]) -> str:
        """Return what a value may be."""
        rule = self.resolve(rule)
        if "description" in rule:
            return str(rule["description"])
        if "enum" in rule:
            return _either([_value(choice) for choice in rule["enum"]])
        if "const" in rule:
            return _value(rule["const"])
        choices = rule.get("anyOf") or rule.get("oneOf")
        if choices and "properties" not in rule:
            return _either([self.describe(choice) for choice in choices])
        types = rule.get("type", [])
        types = [types] if isinstance(types, str) else types
        return _either([self._of_type(kind, rule) for kind in types])

    def _of_type(self, kind: str, rule: Mapping[str, Any]) -> str:
        if kind in ("integer", "number"):
            bounds = [f"{word} {rule[key]}" for key, word in BOUNDS.items() if key in rule]
            return ", ".join([TYPES[kind], *bounds])
        if kind == "array" and (items := self.describe(rule.get("items", {}))):
            return f"a list of: {items}"
        if kind == "object" and "properties" in rule:
            return f"a mapping: {', '.join(f'`{key}`' for key in rule['properties'])}"
        return TYPES[kind]


def _value(choice: Any) -> str:
    named = {None: "null", True: "true", False: "false"}
    return f"`{named[choice] if choice is None or isinstance(choice, bool) else choice}`"


def _either(words: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(word for word in words if word))
