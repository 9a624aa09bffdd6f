"""One entry of `predictions:` as a job: model, classifier and rows opened, predicted, written."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dnalm.benchmark.prediction.classifiers import (
    ADAPTERS,
    Classifier,
    check_made,
    load_classifier,
)
from dnalm.benchmark.prediction.folds import AnyEncoder, Base
from dnalm.benchmark.prediction.pieces import Rules
from dnalm.benchmark.prediction.predict import PredictionConfig, predict_source
from dnalm.benchmark.prediction.sources import GenomeIntervals, SequenceFile, Source
from dnalm.benchmark.prediction.tracks import open_tracks
from dnalm.benchmark.scoring.results import result_names
from dnalm.devices import best_device
from dnalm.files import read_facts, sha256_of
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary
from dnalm.model.embedders.frozen import FrozenEmbedder, open_frozen
from dnalm.model.embedders.tunable import ForeignTokens, open_tunable
from dnalm.model.loading import load_model

RULES = ("other_letters", "too_short", "too_long", "min_bases", "max_bases", "tile_overlap")
FIELDS = ("format", "sequence_column", "id_column")  # of files of sequences


@dataclass(frozen=True, kw_only=True, eq=False)
class _Base:
    encoder: AnyEncoder
    vocabulary: Vocabulary | ForeignTokens
    weights: Path
    sha256: str | None = None


def predict_entry(
    files: Mapping[str, Any],
    settings: Mapping[str, Any],
    asked: Mapping[str, Any],
    outputs: Mapping[str, str],
    threads: int,
) -> None:
    """Write the predictions of an entry of `predictions:`, defaults filled in.

    `files` are run and weights of a model, which networks have not, or `described` of one that is
    not ours, with how it is opened, the `embedder` of `settings`; classifier, and `sequences` or
    `intervals` with the `genome`'s bases and contigs; `asked` what `check_made` compares; `outputs`
    the tables and, where bases of a genome are predicted, `tracks`, a folder.
    """
    torch.set_num_threads(threads)
    classifier = load_classifier(_open_base(files, settings), files["classifier"])
    check_made(classifier.facts, asked, classifier.encoder.config.layers)
    if not isinstance(classifier.encoder, FrozenEmbedder):
        classifier.encoder.to(best_device())
    source = _open_source(files, settings)
    tables = [path for name, path in outputs.items() if name != "tracks"]
    names = {"prediction": settings["name"], **name_classifier(classifier)}
    with ExitStack() as stack:
        tracks = None
        if "tracks" in outputs:
            opened = open_tracks(
                outputs["tracks"], settings["tracks"], source.genome, classifier.names
            )
            tracks = stack.enter_context(opened)
        predict_source(classifier, source, tables, configure(settings), names, tracks)


def _open_base(files: Mapping[str, Any], settings: Mapping[str, Any]) -> Base | None:
    """Return the model below a classifier, None where there is none."""
    if "run" in files:
        encoder, vocabulary = load_model(files["run"], files["weights"])
        return _Base(encoder=encoder, vocabulary=vocabulary, weights=Path(files["weights"]))
    if "described" not in files:
        return None
    if Path(files["classifier"]).name == ADAPTERS:
        encoder, tokens = open_tunable(settings["embedder"])
    else:
        encoder, tokens = open_frozen(settings["embedder"], best_device())
    sha256 = read_facts(files["described"], ("weights_sha256",))["weights_sha256"]
    return _Base(encoder=encoder, vocabulary=tokens, weights=Path(tokens.name), sha256=sha256)


def configure(settings: Mapping[str, Any]) -> PredictionConfig:
    """Return the part of the settings that says how rows are predicted."""
    kept = {key: settings[key] for key in ("strands", "folds", "batch_tokens", "block_rows")}
    return PredictionConfig(rules=Rules(**{key: settings[key] for key in RULES}), **kept)


def name_classifier(classifier: Classifier) -> dict[str, str]:
    """Return what the metadata of a table of predictions say of where they come from."""
    facts = classifier.facts
    names = {"method": facts.method, "model": facts.model, "task": facts.task}
    return {**result_names(names), "classifier_sha256": sha256_of(facts.path)}


def _open_source(files: Mapping[str, str], settings: Mapping[str, Any]) -> Source:
    if "intervals" in files:
        genome = GenomeBases(files["bases"], files["contigs"])
        return GenomeIntervals(path=files["intervals"], genome=genome, window=settings["window"])
    return SequenceFile(path=files["sequences"], **{key: settings[key] for key in FIELDS})
