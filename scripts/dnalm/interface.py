"""The functions that people call: genomes, tokens, models, embeddings and predictions.

Shapes: N sequences, D width, C classes (multilabel: labels, regression: targets), V vocabulary,
T tokens with <cls>.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.genome.letters import clean_sequence
from dnalm.suggestions import check_choice

if TYPE_CHECKING:
    from dnalm.benchmark.prediction.classifiers import Classifier

# Tokens of one forward pass; on a CPU no more than fit its cache are taken.
BATCH_TOKENS = 16_384
BLOCK_ROWS = 4096  # of a file that is predicted, in memory at once
CENTRE_BASES = 24  # of the pooling `centre`, as in the shipped configuration

OtherLetters = Literal["refuse", "mask"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """An encoder (a torch module in evaluation mode), its vocabulary, and its file of weights."""

    encoder: Any
    vocabulary: Vocabulary
    weights: Path


def read_genome(folder: str | Path) -> GenomeBases:
    """Return the bases of a stored genome, `results/genomes/<name>`.

    `read(contig, start, end)` gives the codes uint8[n] of an interval, 0-based and half-open: A T C
    G N are 0 1 2 3 4. Raises InputError where the folder holds no genome.
    """
    folder = Path(folder)
    if not (folder / "bases.npy").is_file():
        raise InputError(f"{folder} holds no bases.npy: give the folder of one genome.")
    return GenomeBases.of(folder)


def tokenize(
    sequences: Sequence[str],
    *,
    k: int = 6,
    vocabulary: Literal["v1", "v2"] = "v2",
    other_letters: OtherLetters = "refuse",
) -> list[np.ndarray]:
    """Return the token ids of each sequence, uint16[T], <cls> first, as the published tokenizer's.

    Letters are A, C, G, T, N in either case; U is read as T, which a warning counts, other IUPAC
    codes as N. Raises InputError for any other letter, unless `other_letters` is `mask`, which
    reads it as N, and for an empty sequence.
    """
    words = Vocabulary(k, vocabulary)
    return [encode(to_codes(text), words) for text in _texts(_listed(sequences), other_letters)]


def load_model(folder: str | Path) -> Model:
    """Return a model of the workflow, `results/models/<name>`, on the CPU in float32.

    The folder holds run.json and weights.safetensors. Raises InputError where one is missing or
    they do not fit each other.
    """
    from dnalm.model.loading import load_model

    folder = Path(folder)
    for name in ("run.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}: give the folder of a finished model.")
    weights = folder / "weights.safetensors"
    encoder, vocabulary = load_model(folder / "run.json", weights)
    return Model(encoder=encoder, vocabulary=vocabulary, weights=weights)


def embed(
    model: Model,
    sequences: Sequence[str],
    *,
    layers: Literal["all"] | int | Sequence[int] = "all",
    pooling: Literal["mean", "cls", "centre"] = "mean",
    centre_bases: int = CENTRE_BASES,
    other_letters: OtherLetters = "refuse",
) -> dict[int, np.ndarray]:
    """Return {layer: pooled hidden states float32 [N, D]} of sequences, by ascending layer.

    `layers` are all, so many evenly spaced ones, or a list, counted from 1; 0 is the token table.
    The mean is over tokens of real bases, `centre` over those of the middle `centre_bases` bases.
    Letters are read as by `tokenize`. Raises InputError for letters that are not of DNA, a sequence
    that is shorter than one token or too long, and layers that the model does not have.
    """
    from dnalm.benchmark.embedding.embed import EmbedConfig, choose_layers
    from dnalm.benchmark.embedding.embed import embed as embed_sequences

    sequences = _listed(sequences)
    config = EmbedConfig(
        layers=layers,
        pooling=pooling,
        centre_bases=centre_bases,
        strands="forward",
        precision="float32",
        dtype="float32",
        too_long="refuse",
        batch_tokens=BATCH_TOKENS,
        shard_rows=len(sequences),
    )
    chosen = choose_layers(layers, model.encoder.config.layers)
    texts = _texts(sequences, other_letters, model.vocabulary.k)
    names = _names(sequences)
    pooled = embed_sequences(model.encoder, model.vocabulary, texts, names, chosen, config)
    return dict(zip(chosen, pooled, strict=True))


def predict_masked(
    model: Model, sequence: str, *, other_letters: OtherLetters = "refuse"
) -> np.ndarray:
    """Return masked-language-model logits of each token in turn hidden behind <mask>.

    float32 [T − 1, V], a row for each token but <cls>: what the model expects there, knowing the
    rest of the sequence. Raises InputError as `embed` does.
    """
    import torch

    from dnalm.model.token_batches import TokenRows, limit_tokens

    texts = _texts([sequence], other_letters, model.vocabulary.k)
    rows = TokenRows(texts, _names([sequence]), model.vocabulary, model.encoder.config.max_tokens)
    tokens, _ = rows.batch([0])
    places = torch.arange(1, tokens.shape[1])
    size = max(1, limit_tokens(BATCH_TOKENS, tokens.device) // tokens.shape[1])
    found = []
    with torch.inference_mode():
        for hidden in places.split(size):
            masked = tokens.repeat(len(hidden), 1)
            masked[torch.arange(len(hidden)), hidden] = model.vocabulary.mask
            logits = model.encoder(masked, hidden[:, None], padded=False).logits
            found.append(logits[:, 0].numpy())
    return np.concatenate(found)


def load_classifier(model: Model | None, folder: str | Path) -> "Classifier":
    """Return what was fine-tuned or probed on a model: `folds`, `kind` and `classes` of a task.

    `folder` is `results/finetunes/<method>/<model>/<task>`, or that of a probe without the file's
    ending, `results/probes/<model>/<task>` and `results/mlp_probes/...`. `model` is the one that it
    was made from; it shares its weights and stays as it is. Of a network from scratch,
    `results/baselines/<network>/<task>`, it is None. Raises InputError where there is no such file,
    or one that was made from other weights.
    """
    from dnalm.benchmark.prediction.classifiers import find_classifier
    from dnalm.benchmark.prediction.classifiers import load_classifier as load_file

    return load_file(model and _share_weights(model), find_classifier(folder))


def predict(
    classifier: "Classifier",
    sequences: Sequence[str],
    *,
    folds: Iterable[int] | None = None,
    other_letters: OtherLetters = "refuse",
) -> np.ndarray:
    """Return predicted probabilities float64 [N, C], the mean over the classifier's folds.

    multilabel: one for each label; regression: values in the targets' units; per_base: float32
    [N, L, C] for L bases of the longest sequence. `folds` chooses some of the classifier's; letters
    are read as by `tokenize`. Raises InputError for letters that are not of DNA, a sequence that is
    shorter than one token or too long, and a fold that the classifier does not have.
    """
    sequences = _listed(sequences)
    texts = _texts(sequences, other_letters, classifier.vocabulary.k)
    chosen = _choose_folds(classifier.folds, folds)
    if not texts:
        pooled = classifier.facts.kind.pooled
        return np.empty((0, classifier.classes) if pooled else (0, 0, classifier.classes))
    found = classifier.outputs(texts, _names(sequences), chosen, BATCH_TOKENS)
    return np.mean(list(found), axis=0)


def predict_file(
    classifier: "Classifier",
    path: str | Path,
    output: str | Path | Sequence[str | Path],
    *,
    genome: GenomeBases | None = None,
    tracks: str | Path | None = None,
    file_format: Literal["auto", "fasta", "csv", "tsv", "parquet"] = "auto",
    sequence_column: str = "sequence",
    id_column: str | None = None,
    window: int | None = None,
    other_letters: Literal["refuse", "drop", "mask"] = "refuse",
    too_short: Literal["refuse", "drop"] = "refuse",
    too_long: Literal["refuse", "drop", "centre", "tiles"] = "refuse",
    max_bases: int | None = None,
    tile_overlap: int = 0,
    strands: Literal["forward", "both"] = "forward",
    folds: Literal["all"] | Sequence[int] = "all",
) -> dict[str, int]:
    """Write the predictions of all sequences of a file; return how many `rows`, and `left_out`.

    `path` is FASTA, CSV, TSV or Parquet; with `genome` a BED file, whose intervals are cut from it.
    `output`, one file or several that end in .tsv or .parquet, has a row for each, in their order:
    id, bases, probability of each class (of a regression the values), mean over the folds and SD.
    A block of rows is in memory at a time. `tracks` is a folder for bedGraph files of a per-base
    classifier. What the other arguments mean stands in config.yaml, section `prediction`. Raises
    InputError before the work for what cannot be read, with the row and what to do.
    """
    from contextlib import ExitStack

    from dnalm.benchmark.prediction.entry import name_classifier
    from dnalm.benchmark.prediction.pieces import Rules
    from dnalm.benchmark.prediction.predict import PredictionConfig, predict_source
    from dnalm.benchmark.prediction.sources import GenomeIntervals, SequenceFile
    from dnalm.benchmark.prediction.tracks import BEDGRAPH, open_tracks

    config = PredictionConfig(
        rules=Rules(
            other_letters=other_letters,
            too_short=too_short,
            too_long=too_long,
            min_bases=classifier.vocabulary.k,
            max_bases=max_bases,
            tile_overlap=tile_overlap,
        ),
        strands=strands,
        folds=folds,
        batch_tokens=BATCH_TOKENS,
        block_rows=BLOCK_ROWS,
    )
    if genome is None:
        source = SequenceFile(
            path=path, format=file_format, sequence_column=sequence_column, id_column=id_column
        )
    else:
        source = GenomeIntervals(path=path, genome=genome, window=window)
    if tracks is not None and (genome is None or classifier.facts.kind.pooled):
        raise InputError("tracks are of a per-base classifier and a genome: leave the folder out.")
    outputs = [output] if isinstance(output, str | Path) else list(output)
    with ExitStack() as stack:
        opened = tracks and open_tracks(tracks, BEDGRAPH, genome, classifier.names)
        into = stack.enter_context(opened) if opened else None
        names = name_classifier(classifier)
        found = predict_source(classifier, source, outputs, config, names, into)
    return {"rows": found.rows, "left_out": found.left_out}


def _choose_folds(known: Sequence[int], folds: Iterable[int] | None) -> Sequence[int]:
    """Return the folds to predict with; InputError for none, and one that is not known."""
    if folds is None:
        return known
    chosen = list(folds) if isinstance(folds, Iterable) else []
    if not chosen or any(fold not in known for fold in chosen):
        raise InputError(f"folds is {folds!r:.60}: give some of {', '.join(map(str, known))}.")
    return chosen


def _share_weights(model: Model) -> Model:
    """Return a second encoder on the same weights, to which an adapter can be added."""
    import torch

    from dnalm.model.encoder import Encoder

    with torch.device("meta"):
        encoder = Encoder(model.encoder.config)
    encoder.load_state_dict(model.encoder.state_dict(), assign=True)
    return replace(model, encoder=encoder.eval())


def _listed(sequences: Iterable[str]) -> list[str]:
    """Return sequences as a list; InputError for one text alone, and what is no collection."""
    if isinstance(sequences, str | bytes | Mapping) or not isinstance(sequences, Iterable):
        raise InputError("Give a list of sequences: one alone is written ['ACGT'].")
    return list(sequences)


def _texts(sequences: Sequence[str], other_letters: OtherLetters, min_bases: int = 1) -> list[str]:
    """Return sequences of A, C, G, T and N; InputError names the first that cannot be read."""
    check_choice("other_letters", other_letters, ("refuse", "mask"))
    texts, uracil = [], 0
    for name, sequence in zip(_names(sequences), sequences, strict=True):
        if not isinstance(sequence, str):
            raise InputError(f"{name} is {sequence!r:.40}, no text: give its letters.")
        cleaned = clean_sequence(sequence)
        if cleaned.foreign and other_letters == "refuse":
            raise InputError(
                f"{name} has the letter {cleaned.foreign[0]!r}, which is not of DNA: correct it, "
                "or read such letters as N with other_letters='mask'."
            )
        if not cleaned.text:
            raise InputError(f"{name} is empty: leave it out.")
        if len(cleaned.text) < min_bases:
            raise InputError(
                f"{name} has {len(cleaned.text)} bases, fewer than the {min_bases} of one token: "
                "leave it out."
            )
        texts.append(cleaned.masked)
        uracil += cleaned.uracil
    if uracil:
        log.warning("%d letters U of the sequences are read as T, as of RNA.", uracil)
    return texts


def _names(sequences: Sequence[str]) -> list[str]:
    return [f"sequence {number}" for number in range(1, len(sequences) + 1)]
