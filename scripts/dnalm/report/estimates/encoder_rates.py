"""Rates of encoders and networks on this machine, in FLOP per processor second.

What is run are the library's own functions on invented rows. Encoders have a layer or two, and
weights that nobody drew: both change nothing of the rate.

Shape letters: B sequences, T tokens, S selected tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from dnalm.benchmark.embedding.embed import EmbedConfig, embed
from dnalm.benchmark.finetuning.classifier import Classifier, build_classifier
from dnalm.benchmark.scoring.objectives import loss_of
from dnalm.genome.kmers import Vocabulary, to_sequence
from dnalm.interpretation.attention_counts import count_attention
from dnalm.methods import find_baseline, find_function
from dnalm.model.adapters import add_adapter
from dnalm.model.config import EncoderConfig
from dnalm.model.convolutions import VOCABULARY
from dnalm.model.encoder import Encoder
from dnalm.model.token_batches import MAX_CPU_BATCH_TOKENS, TokenRows
from dnalm.report.estimates.clock import measure_rate
from dnalm.report.estimates.flops import convolution_flops, count_passes, forward_flops
from dnalm.training.hardware import count_flops
from dnalm.training.masking import MaskingConfig

WIDE = 1024  # from here on one layer is enough, and takes long enough
SMALL_WEIGHT = 0.02
MOST_FLOPS = 4e10  # of one call, where rows can be left out: about a second of a core
KIND, CLASSES = "binary", 2
MAX_NETWORK_ROWS = 8


def shorten_encoder(config: EncoderConfig) -> EncoderConfig:
    """Return an encoder of the same blocks but few of them."""
    return replace(config, layers=min(config.layers, 1 if config.width > WIDE else 3))


def make_encoder(config: EncoderConfig) -> Encoder:
    """Return an encoder of small random weights, without the time that a proper draw takes."""
    with torch.device("meta"):
        encoder = Encoder(config)
    encoder.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.uniform_(-SMALL_WEIGHT, SMALL_WEIGHT, generator=generator)
    return encoder.eval()


def measure_embedding(
    config: EncoderConfig, vocabulary: Vocabulary, tokens: int, options: EmbedConfig, seconds: float
) -> float:
    """Return the rate of embedding sequences of T tokens."""
    config = shorten_encoder(config)
    encoder, layers = make_encoder(config), list(range(1, config.layers + 1))
    of_row = forward_flops(config, config.layers, tokens)
    rows = max(1, int(min(4 * MAX_CPU_BATCH_TOKENS / tokens, MOST_FLOPS / of_row)))
    sequences = _draw_sequences(rows, (tokens - 1) * vocabulary.k)
    names = [str(number) for number in range(rows)]

    def run() -> float:
        embed(encoder, vocabulary, sequences, names, layers, options)
        return rows * of_row

    return measure_rate(run, seconds)


def measure_attention(
    config: EncoderConfig,
    vocabulary: Vocabulary,
    tokens: int,
    thresholds: Sequence[float],
    seconds: float,
) -> float:
    """Return the rate of counting attention in a window of T tokens, in FLOPs of a forward pass."""
    config = shorten_encoder(config)
    encoder, of_row = make_encoder(config), forward_flops(config, config.layers, tokens)
    ids, _ = _tokenise(1, (tokens - 1) * vocabulary.k, vocabulary, tokens).batch([0])

    def run() -> float:
        count_attention(encoder, ids, thresholds, padded=False)
        return of_row

    return measure_rate(run, seconds)


def measure_finetuning(
    config: EncoderConfig,
    vocabulary: Vocabulary,
    tokens: int,
    method: Mapping[str, Any],
    seconds: float,
) -> float:
    """Return the rate of training steps of a fine-tuning method on rows of T tokens."""
    config = shorten_encoder(config)
    encoder = make_encoder(config)
    adapter = add_adapter(encoder, method["adapter"], method["options"])
    facts = {"kind": KIND, "classes": CLASSES, "pooling": "mean", "centre_bases": 1}
    classifier = build_classifier(encoder, vocabulary, facts)
    size = method["batch_size"]
    rows = _tokenise(size, (tokens - 1) * vocabulary.k, vocabulary, tokens)
    flops = size * count_passes(config, method) * forward_flops(config, config.layers, tokens)
    step = _make_step(classifier, adapter, rows, size, method)
    return measure_rate(lambda: step() * flops, seconds)


def measure_network(
    name: str, settings: Mapping[str, Any], bases: int, passes: int, seconds: float
) -> float:
    """Return the rate of training steps of a network that is trained from scratch."""
    network = find_function(find_baseline(name).network)(**settings["network"])
    facts = {"kind": KIND, "classes": CLASSES, "pooling": "mean", "centre_bases": 1}
    classifier = build_classifier(network, VOCABULARY, facts)
    size = min(settings["batch_size"], MAX_NETWORK_ROWS)
    rows = _tokenise(size, bases, VOCABULARY, bases + 1)
    flops = size * passes * convolution_flops(network, bases)
    step = _make_step(classifier, list(network.parameters()), rows, size, settings)
    return measure_rate(lambda: step() * flops, seconds)


def measure_pretraining(
    config: EncoderConfig, tokens: int, masking: MaskingConfig, precision: str, seconds: float
) -> float:
    """Return the rate of forward and backward passes of the masked-language objective."""
    config = shorten_encoder(config)
    encoder, slots = make_encoder(config).train(), masking.count_slots(tokens)
    of_window = count_flops(encoder, tokens, slots)
    windows = max(1, int(min(4 * MAX_CPU_BATCH_TOKENS / tokens, MOST_FLOPS / of_window)))
    random = np.random.default_rng(0)
    lowest = config.mask_id + 2
    ids = torch.from_numpy(random.integers(lowest, config.vocabulary_size, (windows, tokens)))
    selected = torch.arange(slots).expand(windows, -1)
    targets = ids[:, :slots].flatten()

    def run() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = encoder(ids, selected, padded=False).logits.float()
            loss = functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
        loss.backward()
        encoder.zero_grad(set_to_none=False)
        return windows * of_window

    return measure_rate(run, seconds)


def _make_step(
    classifier: Classifier,
    adapter: list[torch.nn.Parameter],
    rows: TokenRows,
    size: int,
    method: Mapping[str, Any],
) -> Callable[[], int]:
    """Return a function that makes one training step, as fine-tuning does, and returns 1."""
    optimizer = torch.optim.Adam([*adapter, *classifier.output.parameters()], lr=1e-4)
    labels = np.arange(size) % CLASSES
    bf16 = method["precision"] == "bf16"

    def step() -> int:
        classifier.train()
        tokens, padded = rows.batch(np.arange(size))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = classifier(tokens, padded=padded)
        optimizer.zero_grad()
        loss_of(logits.float(), labels, KIND, None).backward()
        optimizer.step()
        return 1

    return step


def _draw_sequences(rows: int, bases: int) -> list[str]:
    random = np.random.default_rng(0)
    return [to_sequence(codes) for codes in random.integers(0, 4, (rows, bases), dtype=np.uint8)]


def _tokenise(rows: int, bases: int, vocabulary: Vocabulary, tokens: int) -> TokenRows:
    names = [str(number) for number in range(rows)]
    return TokenRows(_draw_sequences(rows, bases), names, vocabulary, tokens)
