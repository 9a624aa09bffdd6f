"""Violations of the schema as sentences: the key, the value and what is allowed."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, TextIO

import jsonschema
import yaml

from dnalm.benchmark.tasks.kinds import CLASS_METRICS, KINDS
from dnalm.benchmark.tasks.recipes.table import RECIPES
from dnalm.errors import shorten
from dnalm.jobs.credentials import hide_passwords
from dnalm.jobs.gpus import GPU_NAMES
from dnalm.methods import ADAPTER_NAMES, LORA_TARGETS
from dnalm.suggestions import listing, nearest, refusal
from dnalm.variants.score_table import SCORE_NAMES

LONGEST_VALUE = 80
TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}
BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}


# Numbers that neither numpy nor torch can hold are none here.
LEAST_WHOLE, LARGEST_WHOLE = -(2**63), 2**63 - 1
# Under these keys a key says what stands in a file, a number too.
NUMBERED_BY_CLASS = (("path",), ("url",), ("files",), ("sha256",))  # files of one class each
LABELS = re.compile(r"labels(_by_.*)?")


def _is_whole(_: Any, value: Any) -> bool:
    # JSON Schema takes 1.0e+4 for an integer, range() does not.
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and LEAST_WHOLE <= value <= LARGEST_WHOLE


def _is_number(checker: Any, value: Any) -> bool:
    # NaN is neither above nor below any bound, and infinity below none.
    return _is_whole(checker, value) or (isinstance(value, float) and math.isfinite(value))


def _fits(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    # A $ of Python also stands before a line break at the end.
    wrong = isinstance(value, str) and not re.search(pattern.removesuffix("$") + r"\Z", value)
    if wrong:
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


# As safe, and ten times as fast, where PyYAML was built with libyaml: every start waits for it.
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    validators={"pattern": _fits},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_whole, "number": _is_number}
    ),
)


def read_schema(file: TextIO) -> dict[str, Any]:
    """Return the schema of the configuration, its lists of names filled from the tables.

    `$defs` that stand empty in the file are the kinds of tasks, recipes, adapters, LoRA's targets,
    GPUs, metrics and scores of variants.
    """
    schema = yaml.load(file, FAST_LOADER)
    names = {
        "kind": [kind.name for kind in KINDS],
        "recipe": [recipe.name for recipe in RECIPES],
        "adapter": list(ADAPTER_NAMES),
        "gpu": list(GPU_NAMES),
        "lora_target": list(LORA_TARGETS),
        "metric": [*CLASS_METRICS, None],
        "variant_score": list(SCORE_NAMES),
    }
    for name, choices in names.items():
        schema["$defs"][name]["enum"] = choices
    return schema


def find_schema_errors(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return one sentence per violation of a JSON schema: key, value and what is allowed."""
    if numbers := list(_find_unquoted(config, ())):
        return list(map(shorten, numbers))  # a schema knows no such keys
    found = Validator(schema).iter_errors(config)
    errors = sorted(found, key=lambda error: list(map(str, error.path)))
    # jsonschema reports each missing key apart, and each report names them all.
    sentences = (shorten(hide_passwords(text)) for error in errors for text in _describe(error))
    return list(dict.fromkeys(sentences))


def _find_unquoted(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each key that YAML does not read as text, but for those of labels."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) and not _may_be_number(key, path):
                yield (
                    f"{'.'.join(path) or 'the configuration'}: YAML reads the key {_shown(key)} not"
                    f' as text but as {_kind_of(key)}; put it in quotes, as "{_shown(key)}".'
                )
            yield from _find_unquoted(inner, (*path, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _find_unquoted(inner, (*path, str(number)))


def _may_be_number(key: Any, path: tuple[str, ...]) -> bool:
    """Return whether a key need not be text: of labels, or a whole number of a record or class."""
    if path and LABELS.fullmatch(path[-1]):
        return True
    of_class = path[:1] == ("tasks",) and path[2:3] in NUMBERED_BY_CLASS and len(path) == 4
    whole = isinstance(key, int) and not isinstance(key, bool)
    of_record = path[:1] == ("genomes",) and path[2:] == ("contigs",)
    return whole and (of_record or of_class)


def _kind_of(value: Any) -> str:
    if _is_atom(value):
        return _shown(value)
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def _describe(error: jsonschema.ValidationError) -> list[str]:
    key = ".".join(map(str, error.absolute_path)) or "the configuration"
    start = f"{key}: {_shown(error.instance)}"
    allowed = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = [name for name in error.instance if name not in known]
            return [f"{key}: the key '{name}' is unknown{nearest(name, known)}" for name in unknown]
        case "required":
            missing = [name for name in allowed if name not in error.instance]
            return [f"{key}: the key '{name}' is missing; add it." for name in missing]
        case "not":  # a key that the schema forbids beside the others
            return [f"{key}: this key does not fit the ones beside it; remove it."]
        case "enum" | "const":
            choices = allowed if error.validator == "enum" else [allowed]
            return [f"{start} {refusal(error.instance, choices)}"]
        case "type":
            wanted = [allowed] if isinstance(allowed, str) else allowed
            words = " or ".join(TYPES[name] for name in wanted)
            return [f"{start} has the wrong type; give {words}{_hint(error.instance, wanted)}."]
        case "oneOf" | "anyOf" if "description" in error.schema:
            return [f"{start} is not allowed; give {error.schema['description']}."]
        case "oneOf" | "anyOf" if not all("required" in choice for choice in allowed):
            return _describe_alternatives(error)
        case "oneOf" | "anyOf" if not isinstance(error.instance, Mapping):
            return []  # that its type is wrong is another error
        case "oneOf" | "anyOf":  # alternatives are keys of which one has to be there
            names = [name for choice in allowed for name in choice["required"]]
            given = [name for name in names if name in error.instance]
            advice = (
                f"drop all but one of {listing(given)}" if given else f"add {' or '.join(names)}"
            )
            inherited = " (a null in an overlay takes an inherited key away)" if given else ""
            return [f"{key}: exactly one of {listing(names)} has to be given; {advice}{inherited}."]
        case "pattern":
            if "description" in error.schema:
                return [f"{start} is not allowed; give {error.schema['description']}."]
            return [f"{start} is not of the form {allowed}; change it."]
        case "minProperties":
            return [
                f"{start} {_too_few(error.instance)}; give at least {allowed} key with its value."
            ]
        case "minItems" | "minLength":
            return [f"{start} {_too_few(error.instance)}; give at least {allowed}."]
        case "maxItems":
            return [f"{start} is too long; give at most {allowed}."]
        case "maxLength":
            return [f"{start} has {len(error.instance)} letters; give at most {allowed}."]
        case "uniqueItems":
            return [f"{start} names something twice; drop the repetition."]
        case bound if bound in BOUNDS:
            return [f"{start} is out of range; give {BOUNDS[bound]} {allowed}."]
        case _:
            return [f"{key}: {error.message}."]


def _describe_alternatives(error: jsonschema.ValidationError) -> list[str]:
    """Return what is wrong by the alternatives of the value's type, or which types there are."""
    types = [one for one in error.context if one.validator == "type" and not one.relative_path]
    others = [one for one in error.context if one not in types]
    if others or not types:
        return list(dict.fromkeys(text for one in others for text in _describe(one)))
    names: list[str] = []
    for one in types:
        given = one.validator_value
        names += [given] if isinstance(given, str) else given
    types[0].validator_value = list(dict.fromkeys(names))
    return _describe(types[0])


def _too_few(value: Sized) -> str:
    return "is too short" if len(value) else "is empty"


def _shown(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}.get(value) if _is_atom(value) else None
    text = text or hide_passwords(repr(value))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _is_atom(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _hint(value: Any, wanted: Iterable[str]) -> str:
    """Return how to write what YAML took for another type: 1e-4 for text, no for false."""
    if "string" in wanted and not isinstance(value, str | list | Mapping):
        return " (in quotes, as it is meant: YAML reads no, 1, 1.0 and dates as other than text)"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not _is_number(None, value):
        return " that is finite and has no more than 64 bits"
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if "number" in wanted and isinstance(value, str):
        return " (YAML reads 1e-4 as text; write 1.0e-4, or 1.0e+4)"
    whole = "integer" in wanted and number.is_integer()
    return f" (in full: {int(number)})" if whole else ""
