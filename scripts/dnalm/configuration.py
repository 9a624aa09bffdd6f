"""A merged configuration: its errors as sentences, and what each corpus, model or task resolves to.

Everything here takes the configuration as a dictionary; where it was read from is the caller's.
"""

import difflib
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema

from dnalm.genome.kmers import Vocabulary

UNTRAINED = ".untrained"


def find_schema_errors(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return one sentence per violation of a JSON schema: key, value and what is allowed."""
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    return [sentence for error in errors for sentence in _describe(error)]


def _describe(error: jsonschema.ValidationError) -> list[str]:
    key = ".".join(map(str, error.absolute_path)) or "the configuration"
    found = repr(error.instance)
    found = found if len(found) <= 80 else found[:77] + "..."
    match error.validator:
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = [name for name in error.instance if name not in known]
            return [
                f"{key}: the key '{name}' is unknown{nearest(name, known)}." for name in unknown
            ]
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return [f"{key}: the key '{name}' is missing; add it." for name in missing]
        case "not":  # a key that the schema forbids beside the others
            return [f"{key}: this key does not fit the ones beside it; remove it."]
        case "enum":
            return [
                f"{key}: {found} is not allowed; choose one of {listing(error.validator_value)}."
            ]
        case "type":
            allowed = error.validator_value
            allowed = [allowed] if isinstance(allowed, str) else allowed
            return [f"{key}: {found} has the wrong type; give {' or '.join(allowed)}."]
        case "oneOf" | "anyOf":
            given = [choice.get("required") for choice in error.validator_value]
            if all(given):
                names = ", ".join("+".join(names) for names in given)
                return [f"{key}: give exactly one of the keys {names}; found {found}."]
            # Of several alternatives, the one that got furthest tells most.
            best = jsonschema.exceptions.best_match(error.context)
            return [f"{key}: {found} is not allowed; {best.message}."]
        case _:
            return [f"{key}: {error.message}."]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …" or the list of known names, to end a sentence with."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {listing(known)}"


def listing(values: Iterable[Any]) -> str:
    """Return a comma-separated list of at most twelve values."""
    values = [str(value) for value in values]
    return ", ".join(values[:12]) + (", ..." if len(values) > 12 else "") or "none"


def find_reference_errors(config: Mapping[str, Any]) -> list[str]:
    """Return one sentence per name that points at nothing, or at something that does not fit."""
    errors = []

    def check(key: str, name: str, known: Iterable[str]) -> bool:
        known = list(known)
        if name not in known:
            errors.append(f"{key}: '{name}' is unknown{nearest(name, known)}.")
        return name in known

    run = config["run"]
    for pattern in run["tasks"]:
        if not fnmatch.filter(config["tasks"], pattern):
            check("run.tasks", pattern, config["tasks"])
    for method in run["methods"]:
        check("run.methods", method, ["probe", *config["finetune"]["methods"]])
    for baseline in run["baselines"]:
        check("run.baselines", baseline, ["untrained", *config["baselines"]])
    for name in config["tasks"]:
        if "." not in name:
            errors.append(f"tasks.{name}: a task is named <set>.<name>; write 'mine.{name}'.")
    for name, corpus in config["corpora"].items():
        for genome in corpus.get("genomes", []):
            check(f"corpora.{name}.genomes", genome, config["genomes"])
        if isinstance(corpus["windows"], str):
            check(f"corpora.{name}.windows", corpus["windows"], config["windows"])
    for name, model in config["models"].items():
        if name.endswith(UNTRAINED):
            errors.append(f"models.{name}: names ending in {UNTRAINED} are reserved; rename it.")
        known_preset = check(f"models.{name}.preset", model["preset"], config["model"]["presets"])
        known_corpus = check(f"models.{name}.corpus", model["corpus"], config["corpora"])
        if known_preset and known_corpus:
            errors.extend(_find_misfits(config, name))
    for name in run["models"]:
        if check("run.models", name, config["models"]):
            corpus = config["models"][name]["corpus"]
            if config["corpora"].get(corpus, {}).get("haplotypes"):
                errors.append(
                    f"run.models: '{name}' needs the corpus '{corpus}', whose haplotypes this"
                    " version cannot build yet; choose a model with another corpus."
                )
    return errors


def _find_misfits(config: Mapping[str, Any], name: str) -> list[str]:
    errors = []
    corpus_name = config["models"][name]["corpus"]
    corpus, preset = config["corpora"][corpus_name], resolve_preset(config, name)
    if preset["vocabulary"] != corpus["vocabulary"]:
        errors.append(
            f"models.{name}: its preset reads vocabulary {preset['vocabulary']}, its corpus"
            f" '{corpus_name}' holds {corpus['vocabulary']}; choose a corpus with the same one."
        )
    if preset["max_tokens"] < corpus["max_tokens"]:
        errors.append(
            f"models.{name}: its preset reads at most {preset['max_tokens']} tokens, its corpus"
            f" '{corpus_name}' has windows of up to {corpus['max_tokens']}; lower corpora."
            f"{corpus_name}.max_tokens."
        )
    if preset["width"] % preset["heads"]:
        errors.append(
            f"models.{name}: width {preset['width']} is not a multiple of {preset['heads']} heads;"
            " change one of them."
        )
    return errors


def select_tasks(config: Mapping[str, Any]) -> list[str]:
    """Return the tasks that run.tasks asks for, in the order of the configuration."""
    patterns = config["run"]["tasks"]
    return [name for name in config["tasks"] if any(fnmatch.fnmatch(name, p) for p in patterns)]


def resolve_preset(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return all encoder keys of a model: its generation's, overridden by its preset's."""
    preset = config["model"]["presets"][config["models"][model]["preset"]]
    resolved = config["model"]["generations"][preset["generation"]] | preset
    del resolved["generation"]
    return resolved


def resolve_corpus(config: Mapping[str, Any], name: str, genomes: list[str]) -> dict[str, Any]:
    """Return what decides a corpus: its genomes in order, window numbers, split and vocabulary."""
    corpus = config["corpora"][name]
    windows = corpus["windows"]
    return {
        **config["corpus"],
        "genomes": genomes,
        "windows": config["windows"][windows] if isinstance(windows, str) else windows,
        **{key: corpus[key] for key in ("split", "k", "vocabulary", "max_tokens")},
    }


def resolve_run(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what decides a model's weights; `<name>.untrained` trains for no step."""
    trained = model.removesuffix(UNTRAINED)
    settings = config["models"][trained]
    corpus = config["corpora"][settings["corpus"]]
    encoder = resolve_preset(config, trained)
    vocabulary = Vocabulary(k=corpus["k"], version=encoder.pop("vocabulary"))
    options = {key: value for key, value in config["model"].items() if not isinstance(value, dict)}
    pretrain = merge(config["pretrain"], settings.get("pretrain", {}))
    return {
        "model": model,
        "encoder": {
            **options,
            **encoder,
            "vocabulary_size": vocabulary.size,
            "pad_id": vocabulary.pad,
            "mask_id": vocabulary.mask,
        },
        "corpus": settings["corpus"],
        "k": vocabulary.k,
        "vocabulary": vocabulary.version,
        "initial_weights": None,
        "pretrain": {**pretrain, "min_kmers": config["corpus"]["min_kmers"]},
    }


def resolve_task(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a task's settings with everything its entry leaves out filled in."""
    optional = {"length": None, "rows": None, "pooling": None, "published_as": None}
    return {**optional, **config["task"], **config["tasks"][name]}


def list_sources(entry: Mapping[str, Any], task: str, split: str) -> list[str]:
    """Return the paths or addresses of one split of a task, {name} and {split} filled in."""
    sources = entry["path"] if "path" in entry else entry["url"]
    sources = sources[split] if isinstance(sources, Mapping) else sources
    sources = [sources] if isinstance(sources, str) else sources
    return [source.format(name=task.split(".", 1)[1], split=split) for source in sources]


def list_downloads(
    config: Mapping[str, Any], genomes: Mapping[str, Mapping[str, Any]], tasks: Iterable[str]
) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file to download for these genomes and tasks."""
    downloads = []
    for genome in genomes.values():
        if "url" in genome:
            urls = genome["url"]
            urls = [urls] if isinstance(urls, str) else urls
            sums = {key: genome.get(key) for key in ("sha256", "md5")}
            downloads.append({"urls": urls, **sums})
    for name in tasks:
        task = config["tasks"][name]
        for split in ("train", "test") if "url" in task else ():
            sha256 = task.get("sha256", {}).get(split)
            for url in list_sources(task, name, split):
                downloads.append({"urls": [url], "sha256": sha256, "md5": None})
    return downloads


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overrides` written over it, mappings merged key by key."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
