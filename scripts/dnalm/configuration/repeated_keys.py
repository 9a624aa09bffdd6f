"""Keys that a YAML mapping holds twice: the second silently takes the place of the first."""

from collections.abc import Iterator
from pathlib import Path

import yaml


def find_repeated_keys(path: str | Path) -> list[str]:
    """Return one sentence per key that is twice in a mapping of a YAML file, with both lines.

    A file that is no YAML gives none: whoever reads it says so.
    """
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8-sig"), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return []
    return [f"{path}:{sentence}" for sentence in _walk(root, "", set())]


def _walk(node: yaml.Node | None, above: str, seen: set[int]) -> Iterator[str]:
    if node is None or id(node) in seen:  # what is referred to is written once
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _walk(inner, above, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, f"{above}{key.value}"
            if isinstance(key, yaml.ScalarNode) and name in first:
                yield (
                    f"{line}: the key '{name}' is there twice, in line {first[name]} too, and only"
                    " the last counts; put both together."
                )
            first.setdefault(name, line)
            yield from _walk(value, f"{name}.", seen)
