"""Loading of a trained encoder and its vocabulary from run.json and the weights."""

from pathlib import Path

from dnalm.errors import InputError
from dnalm.files import read_facts
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.weights import load_weights

TWICE = "each base has two ids, as a k-mer and as a single base"


def load_model(run: str | Path, weights: str | Path) -> tuple[Encoder, Vocabulary]:
    """Return the encoder that `run` (a run.json) describes, with `weights`, and its vocabulary.

    The encoder is float32, on the CPU and in evaluation mode. Raises InputError when the run's
    vocabulary has another size than its encoder, or the weights do not fit.
    """
    config, vocabulary = read_run(run)
    return load_weights(config, weights).eval(), vocabulary


def read_run(run: str | Path) -> tuple[EncoderConfig, Vocabulary]:
    """Return the encoder's configuration and the vocabulary; raise InputError if they differ."""
    facts = read_facts(run, ("encoder", "k", "vocabulary"))
    config = EncoderConfig.read(facts["encoder"], str(run))
    if facts["k"] == 1:
        raise InputError(f"{run}: k is 1, where {TWICE}; load a model of k = 2 to 7.")
    try:
        vocabulary = Vocabulary(facts["k"], facts["vocabulary"])
    except InputError as error:
        raise InputError(f"{run}: {error}") from None
    if config.vocabulary_size != vocabulary.size:
        raise InputError(
            f"{run}: encoder.vocabulary_size is {config.vocabulary_size}, but k = {vocabulary.k} "
            f"and vocabulary {vocabulary.version} make {vocabulary.size} tokens: correct one."
        )
    return config, vocabulary
