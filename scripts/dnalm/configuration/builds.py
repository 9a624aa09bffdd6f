"""Tasks that are cut from a genome: what `build:` resolves to, its files, and what does not fit."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.schema import nearest

# The keys of `build:` that name files, and the recipes that read them.
FILES = {
    "intervals": ("promoters", "enhancers", "peaks", "regions"),
    "annotation": ("splice_sites",),
    "motifs": ("promoters",),
    "types": ("enhancers", "peaks", "regions"),
}
TSS = ("tss_offset", "upstream", "downstream")
COLUMNS = ("name_column", "strand_column", "summit_column")
OF_INTERVALS = ("placement", "longer", "labels_by_name", *COLUMNS, *TSS)


# What is read with another key of `build:` alone.
OF_FILES = {"motifs": ("motifs_column", "labels_by_motif")}
OF_FILES |= {"types": ("types_column", "types_pattern", "types_label")}
OF_NEGATIVES = ("negatives", "avoid", "unlabelled")


def resolve_build(config: Mapping[str, Any], build: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keys of a task's `build:`, what it leaves out filled in.

    Its recipe's defaults win over the common ones. Where windows are placed by the start of
    transcription, their length is what `upstream` and `downstream` give.
    """
    common = {key: value for key, value in config["build"].items() if key != "recipes"}
    recipe = config["build"]["recipes"].get(build["recipe"], {})
    resolved = {**common, **recipe, **build}
    if resolved["placement"] == "tss" and "upstream" in resolved:
        resolved["length"] = resolved["upstream"] + resolved["downstream"]
    return resolved


def list_build_files(build: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return {key: paths or addresses} of the files that a `build:` names."""
    return {
        key: [build[key]] if isinstance(build[key], str) else list(build[key])
        for key in FILES
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
    yield from _files(key, given, config["build"])
    if build["recipe"] == "splice_sites":
        for unused in (unused for unused in OF_INTERVALS if unused in given):
            yield f"{key}.{unused}: splice_sites are read from transcripts; remove it."
    elif build["placement"] != "tss":
        for unused in (unused for unused in TSS if unused in given):
            yield f"{key}.{unused}: it is read with `placement: tss` alone; add that or remove it."
    elif build["recipe"] != "promoters":
        yield f"{key}.placement: tss is for promoters alone; choose centre, summit or random."
    elif "length" in given:
        yield f"{key}.length: with `placement: tss` it is upstream + downstream; remove it."
    if build["decoys"] == "dinucleotide" and build["recipe"] != "splice_sites":
        yield f"{key}.decoys: dinucleotide is for splice_sites alone; write genome."
    if build["length"] is None and build["decoys"] != "none":
        yield f"{key}.length: negatives need a length; give one, or decoys: none."
    yield from _unread(key, build, given, config["build"])
    yield from _labels(key, build)


def _files(key: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    recipe, recipes = given["recipe"], defaults["recipes"]
    needed = "annotation" if recipe == "splice_sites" else "intervals"
    if needed not in given:
        kind = "GTF or GFF3" if needed == "annotation" else "BED"
        yield f"{key}.{needed}: the recipe {recipe} needs a {kind} file; give its path or URL."
    for name, readers in FILES.items():
        if name in given and recipe not in readers:
            yield f"{key}.{name}: the recipe {recipe} does not read it; remove it."
    for name in given.get("sha256", {}):
        if not isinstance(given.get(name), str):
            yield f"{key}.sha256.{name}: it is for a key that names one file; remove it."
    foreign = {name for own in recipes.values() for name in own}.difference(
        defaults, recipes[recipe], FILES, OF_INTERVALS
    )
    for name in sorted(foreign & given.keys()):
        yield f"{key}.{name}: the recipe {recipe} does not read it; remove it."


def _unread(
    key: str, build: Mapping[str, Any], given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a sentence for each key whose file, placement or negatives are not asked for.

    Those that the recipe never reads have their sentence already.
    """
    for file, names in OF_FILES.items():
        reads = build["recipe"] in FILES[file]
        remedy = "add that or remove it" if reads else "remove it"
        for name in names:
            if name in given and file not in given and (reads or name in defaults):
                yield f"{key}.{name}: it is read with `{file}` alone; {remedy}."
    placed = build["placement"] == "summit" or build["recipe"] == "splice_sites"
    if "summit_column" in given and not placed:
        yield (
            f"{key}.summit_column: it is read with `placement: summit` alone; add that or remove"
            " it."
        )
    if build["decoys"] == "none":
        for name in (name for name in OF_NEGATIVES if name in given):
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
    if build["recipe"] == "splice_sites":
        by = "labels_by_kind"
    elif {"motifs", "labels_by_motif"} <= build.keys():
        by = "labels_by_motif"  # it decides instead of the names
    else:
        by = "labels_by_name"
    labels = {by: dict(build[by])}
    if "types" in build:
        labels["types_label"] = {build["types_pattern"]: build["types_label"]}
    return labels


def find_pattern_error(key: str, pattern: str) -> Iterator[str]:
    """Yield a sentence for a text that is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"{key}: '{pattern}' is no regular expression ({error}); correct it."
