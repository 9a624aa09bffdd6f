"""Tasks that are cut from a genome: what `build:` resolves to, its files, and what does not fit."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.benchmark.tasks.recipes.recipe import KEYS_OF_FILES
from dnalm.benchmark.tasks.recipes.table import RECIPES, find_recipe
from dnalm.suggestions import nearest

# The keys of `build:` that name files, and those that some recipes read and others do not.
FILE_KEYS = tuple(
    dict.fromkeys(key for recipe in RECIPES for key in (recipe.source, *recipe.extra_files))
)
OWN_KEYS = tuple(dict.fromkeys(key for recipe in RECIPES for key in recipe.keys))
# What is read with one value of another key of `build:` alone.
TSS_KEYS = ("tss_offset", "upstream", "downstream")
# And what is read where windows are drawn, beside negatives, alone.
OF_WINDOWS = (
    *("maximum", "balance", "negatives", "decoys", "avoid", "unlabelled", "gaps"),
    *("types_column", "types_pattern", "types_label", "seed"),
)
NEGATIVE_KEYS = ("negatives", "avoid", "unlabelled")


def resolve_build(config: Mapping[str, Any], build: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keys of a task's `build:`, what it leaves out filled in.

    Its recipe's defaults win over the common ones. Where windows are placed by the start of
    transcription, their length is what `upstream` and `downstream` give.
    """
    common = {key: value for key, value in config["build"].items() if key != "recipes"}
    recipe = config["build"]["recipes"].get(build["recipe"], {})
    resolved = {**common, **recipe, **build}
    if resolved["placement"] == "tss" and {"upstream", "downstream"} <= resolved.keys():
        resolved["length"] = resolved["upstream"] + resolved["downstream"]
    return resolved


def list_build_files(build: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return {key: paths or addresses} of the files that a `build:` names."""
    return {
        key: [build[key]] if isinstance(build[key], str) else list(build[key])
        for key in FILE_KEYS
        if key in build
    }


def list_build_downloads(build: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file of a `build:` that has to be downloaded."""
    sums = build.get("sha256", {})
    return [
        {"urls": [source], "sha256": sums.get(key), "md5": None}
        for key, sources in list_build_files(build).items()
        for source in sources
        if "://" in source
    ]


def find_build_errors(
    key: str, config: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[str]:
    """Yield one sentence per value of a `build:` that does not fit the others."""
    build = resolve_build(config, given)
    if build["genome"] not in config["genomes"]:
        near = nearest(build["genome"], config["genomes"])
        yield f"{key}.genome: '{build['genome']}' is unknown{near}"
    yield from _files(key, given)
    recipe = find_recipe(build["recipe"])
    for own in (own for own in OWN_KEYS if own in given and own not in recipe.keys):
        yield f"{key}.{own}: the recipe {recipe.name} does not read it; remove it."
    if recipe.placements and build["placement"] not in recipe.placements:
        others = [other.name for other in RECIPES if build["placement"] in other.placements]
        yield (
            f"{key}.placement: {build['placement']} is for {' and '.join(others)} alone; choose"
            f" one of {', '.join(recipe.placements)}."
        )
    elif recipe.placements and build["placement"] != "tss":
        for unused in (unused for unused in TSS_KEYS if unused in given and unused in recipe.keys):
            yield f"{key}.{unused}: it is read with `placement: tss` alone; add that or remove it."
    elif recipe.placements and "length" in given:
        yield f"{key}.length: with `placement: tss` it is upstream + downstream; remove it."
    if build["decoys"] not in recipe.decoys:
        others = [other.name for other in RECIPES if build["decoys"] in other.decoys]
        yield (
            f"{key}.decoys: {build['decoys']} is for {' and '.join(others)} alone; choose one of"
            f" {', '.join(recipe.decoys)}."
        )
    for own in (own for own in recipe.keys if own not in build and _is_read(own, build)):
        yield (
            f"{key}.{own}: the recipe {recipe.name} needs it; add it, or give a default of all such"
            f" tasks as build.recipes.{recipe.name}.{own}."
        )
    if build["length"] is None and not recipe.placements:
        yield f"{key}.length: the recipe {recipe.name} cuts windows around sites; give a length."
    elif build["length"] is None and build["decoys"] != "none":
        yield f"{key}.length: negatives need a length; give one, or decoys: none."
    yield from _unread(key, build, given)
    yield from _labels(key, build)


def _files(key: str, given: Mapping[str, Any]) -> Iterator[str]:
    recipe = find_recipe(given["recipe"])
    if recipe.source not in given:
        yield (
            f"{key}.{recipe.source}: the recipe {recipe.name} needs a {recipe.format} file; give"
            " its path or URL."
        )
    for name in FILE_KEYS:
        if name in given and name not in (recipe.source, *recipe.extra_files):
            yield f"{key}.{name}: the recipe {recipe.name} does not read it; remove it."
    for name in given.get("sha256", {}):
        if not isinstance(given.get(name), str):
            yield f"{key}.sha256.{name}: it is for a key that names one file; remove it."


def _is_read(own: str, build: Mapping[str, Any]) -> bool:
    """Return whether a recipe's key is read with the files and the placement of a `build:`."""
    if own in TSS_KEYS:
        return build["placement"] == "tss"
    return all(own not in names or file in build for file, names in KEYS_OF_FILES.items())


def _unread(key: str, build: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each key whose file, placement or negatives are not asked for.

    Those that the recipe never reads have their sentence already.
    """
    recipe = find_recipe(build["recipe"])
    for file, names in KEYS_OF_FILES.items():
        remedy = "add that or remove it" if file in recipe.extra_files else "remove it"
        for name in (name for name in names if name in given and file not in given):
            yield f"{key}.{name}: it is read with `{file}` alone; {remedy}."
    placed = build["placement"] == "summit" or not recipe.placements
    if "summit_column" in given and not placed:
        yield (
            f"{key}.summit_column: it is read with `placement: summit` alone; add that or remove"
            " it."
        )
    if recipe.of_bases:
        for name in (name for name in OF_WINDOWS if name in given):
            yield f"{key}.{name}: the recipe {recipe.name} draws no windows; remove it."
    elif build["decoys"] == "none":
        for name in (name for name in NEGATIVE_KEYS if name in given):
            yield f"{key}.{name}: with `decoys: none` there are no negatives; remove it."


def _labels(key: str, build: Mapping[str, Any]) -> Iterator[str]:
    for pattern in build.get("labels_by_name", {}):
        yield from find_pattern_error(f"{key}.labels_by_name", pattern)
    if "types" in build:
        yield from find_pattern_error(f"{key}.types_pattern", build["types_pattern"])
    given = {label for numbers in list_labels(build).values() for label in numbers.values()}
    if 0 in given and build["decoys"] != "none":
        yield (
            f"{key}: an element is given the label 0, which is that of the negatives; count from 1,"
            " or set decoys: none if the elements themselves hold all classes."
        )


def list_labels(build: Mapping[str, Any]) -> dict[str, dict[Any, int]]:
    """Return {key: {what: label}} of all that gives labels in a resolved `build:`."""
    by = find_recipe(build["recipe"]).labels_by
    if {"motifs", "labels_by_motif"} <= build.keys():
        by = "labels_by_motif"  # it decides instead of the names
    labels = {by: dict(build.get(by) or {})}  # one that is missing is told elsewhere
    if "types" in build:
        labels["types_label"] = {build["types_pattern"]: build["types_label"]}
    return labels


def find_pattern_error(key: str, pattern: str) -> Iterator[str]:
    """Yield a sentence for a text that is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"{key}: '{pattern}' is no regular expression ({error}); correct it."
