"""Prioritisation in the configuration: what an entry of `variants:` says of its variants.

An entry that another one names for its percentiles is the reference of that one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.finetuning import resolve_method
from dnalm.configuration.models import find_unknown

LABEL_FILES = ("path", "positives", "negatives")
MATCH_FILES = ("common", "tss")
COMPARE_FILES = ("vcf", "table", "bigwig")
LABEL_NAMES = ("info", "column", "positive", "negative")
COMPARE_NAMES = ("info", "column", "by_position", "rises")
OF_PAIRS = (
    *("window", "frames", "strands", "shared_bases", "max_n", "contig_names", "pooling"),
    *("batch_tokens",),
)
EVALUATED = ("bootstrap", "correction", "min_class", "chromosome_draws")


def is_made(entry: Mapping[str, Any]) -> bool:
    """Return whether what is scored is made of labels: without a file, or with matched variants."""
    return "vcf" not in entry or "match" in entry


def is_evaluated(entry: Mapping[str, Any]) -> bool:
    """Return whether scores of a set have something to be held against: labels or classes."""
    return "label" in entry or "consequence" in entry


def needs_features(config: Mapping[str, Any], name: str) -> bool:
    """Return whether vectors of both alleles are written: asked for, or read by probes."""
    entry = config["variants"][name]
    return bool({**config["variant"], **entry}["features"] or entry.get("supervised"))


def select_references(
    config: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the entries that those of a run name for their percentiles, in the run or not."""
    names = {
        e["percentile"]["among"] for e in entries.values() if "among" in e.get("percentile", {})
    }
    return [config["variants"][name] for name in sorted(names)]


def resolve_set(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of a set but for its files, defaults filled in; what it lacks is None."""
    entry, defaults = config["variants"][name], config["variant_benchmark"]
    label, match = entry.get("label"), entry.get("match")
    consequence, compare = entry.get("consequence"), entry.get("compare", {})
    return {
        "set": name,
        "label": label and _pick({**defaults["label"], **label}, LABEL_NAMES),
        "match": match
        and {k: v for k, v in {**defaults["match"], **match}.items() if k not in MATCH_FILES},
        "consequence": consequence
        and {
            **_pick({**defaults["consequence"], **consequence}, ("info", "column", "pattern")),
            **_pick({**defaults["consequence"], **consequence}, ("rename", "single")),
            "severity": defaults["severity"],
        },
        "compare": {
            key: _pick({**defaults["compare"], **own}, COMPARE_NAMES)
            for key, own in compare.items()
        },
    }


def _pick(settings: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: settings.get(name) for name in names}


def list_set_files(config: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the files that a set is made of, by role."""
    entry = config["variants"][name]
    files = {"vcf": entry["vcf"]} if "vcf" in entry else {}
    files |= {f"label_{k}": v for k, v in entry.get("label", {}).items() if k in LABEL_FILES}
    files |= {k: v for k, v in entry.get("match", {}).items() if k in MATCH_FILES}
    for own, settings in entry.get("compare", {}).items():
        files |= {f"compare_{k}_{own}": v for k, v in settings.items() if k in COMPARE_FILES}
    return files


def resolve_evaluation(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how scores of a set are held against its labels and classes."""
    defaults, entry = config["variant_benchmark"], config["variants"][name]
    rises = {
        key: own.get("rises", defaults["compare"]["rises"])
        for key, own in entry.get("compare", {}).items()
    }
    settings = {"set": name, "rises": rises, "severity": defaults["severity"]}
    settings["published_as"] = entry.get("published_as")
    return {"settings": settings, "statistics": {key: defaults[key] for key in EVALUATED}}


def resolve_supervised(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how a set's probes are trained."""
    own = config["variants"][name].get("supervised")
    return {**config["variant_benchmark"]["supervised"], **(own if isinstance(own, dict) else {})}


def resolve_finetuning(config: Mapping[str, Any], name: str, method: str) -> dict[str, Any]:
    """Return how an encoder is fine-tuned on a set: windows, groups, and a method's settings."""
    settings = {**config["variant"], **config["variants"][name]}
    return {
        "set": name,
        **{key: settings[key] for key in OF_PAIRS},
        "groups": resolve_supervised(config, name)["groups"],
        "method": resolve_method(config, method),
    }


def find_prioritisation_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per value that does not fit the rest of its entry or other entries."""
    for name, entry in config["variants"].items():
        key = f"variants.{name}"
        yield from _labels(key, entry)
        yield from _compared(key, entry)
        consequence = entry.get("consequence", {})
        if "consequence" in entry and not {"info", "column"} & consequence.keys():
            yield f"{key}.consequence: give 'info', a field of VCF files, or 'column', of tables."
        if "match" in entry and "common" not in entry["match"]:
            yield f"{key}.match: 'common' is missing; name a VCF file of common variants."
        if entry.get("match", {}).get("same_consequence") and "consequence" not in entry:
            yield f"{key}.match.same_consequence: the entry has no 'consequence'; add it."
        by_site = entry.get("match", {}).get("choose") == "tss_distance"
        if by_site and "tss" not in entry["match"]:
            yield f"{key}.match.tss: the file is missing; name a GTF, GFF3 or BED file of genes."
        if "tss" in entry.get("match", {}) and not by_site:
            yield f"{key}.match.tss: nothing reads it; write choose: tss_distance, or drop it."
        yield from _percentiles(key, name, entry, config)
        if entry.get("supervised") and "label" not in entry:
            yield f"{key}.supervised: there are no labels to learn; add 'label'."
        yield from _finetuned(key, entry, config)


def _finetuned(key: str, entry: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    methods = config["finetune"]["methods"]
    if "finetune" in entry and "label" not in entry:
        yield f"{key}.finetune: there are no labels to learn; add 'label'."
    for name in entry.get("finetune", ()):
        if name not in methods:
            yield from find_unknown(f"{key}.finetune", name, methods)
            continue
        settings, own = resolve_method(config, name), f"finetune.methods.{name}"
        if settings["precision"] != "float32":
            yield (
                f"{key}.finetune: {own}.precision is {settings['precision']}, which would round "
                "away what tells two windows of one variant apart; write float32, or add a method "
                "with it."
            )
        if settings["head"] != "linear" or not isinstance(settings["class_weights"], str):
            yield (
                f"{key}.finetune: {own} is not for labels of two classes; write head: linear and "
                "class_weights: none or balanced, or add a method with them."
            )


def _labels(key: str, entry: Mapping[str, Any]) -> Iterator[str]:
    label = entry.get("label", {})
    sources = [name for name in ("info", "path") if name in label]
    sources += ["positives"] if {"positives", "negatives"} & label.keys() else []
    if "label" in entry and len(sources) != 1:
        given = " and ".join(sources) or "none"
        yield (
            f"{key}.label: give one of 'info', 'path', or 'positives' and 'negatives'; here is "
            f"{given}."
        )
    if "info" in label and "vcf" not in entry:
        yield f"{key}.label.info: a field is of the set's own file; add 'vcf'."
    if "info" in label and not (
        label.get("positive") and (label.get("negative") or "match" in entry)
    ):
        yield f"{key}.label: list the values of {label['info']} that are 'positive' and 'negative'."
    if "positives" in sources:
        wanted = {"positives"} if "match" in entry else {"positives", "negatives"}
        for name in sorted(wanted - label.keys()):
            yield f"{key}.label.{name}: the file is missing; name it, or draw negatives by 'match'."
    if "match" in entry and "negatives" in label:
        yield f"{key}.match: negatives are given by 'label' already; drop one of the two."
    if "vcf" not in entry and not set(sources) - {"info"}:
        yield f"{key}: nothing says which variants are scored; add 'vcf', or 'label' with files."
    if "match" in entry and "label" not in entry:
        yield f"{key}.match: nothing says which variants are positive; add 'label'."


def _compared(key: str, entry: Mapping[str, Any]) -> Iterator[str]:
    for name, own in entry.get("compare", {}).items():
        sources = [source for source in ("info", "table", "bigwig") if source in own]
        if len(sources) != 1:
            yield f"{key}.compare.{name}: give one of 'info', 'table' and 'bigwig'."
        if "table" in own and "column" not in own:
            yield f"{key}.compare.{name}.column: name the column, or give its number from 1."
        if "info" in own and "vcf" not in own and "vcf" not in entry:
            yield f"{key}.compare.{name}.vcf: the set has no own file; name one with the field."


def _percentiles(
    key: str, name: str, entry: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[str]:
    among = entry.get("percentile", {}).get("among")
    if among is not None:
        yield from find_unknown(f"{key}.percentile.among", among, config["variants"])
        known = config["variants"].get(among, {"models": entry["models"]})
        for model in entry["models"]:
            if model not in known["models"]:
                yield (
                    f"{key}.percentile.among: '{among}' is not scored by '{model}'; add it to "
                    f"variants.{among}.models."
                )
        if among == name:
            yield f"{key}.percentile.among: an entry is no reference for itself; name another."
    for model in sorted(set(entry["models"]) - set(entry.get("percentile", {}).get("files", ()))):
        if "files" in entry.get("percentile", {}):
            yield f"{key}.percentile.files: there is none of '{model}'; add it."
