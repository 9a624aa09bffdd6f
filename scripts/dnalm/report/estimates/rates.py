"""Rates of this machine, measured: what one of its cores does in a second for each sort of work."""

import logging
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dnalm.benchmark.audit.minimap2 import find_minimap2
from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.genome.kmers import Vocabulary
from dnalm.jobs.progress import Progress
from dnalm.model.config import EncoderConfig
from dnalm.report.estimates.clock import processor_seconds
from dnalm.report.estimates.encoder_rates import (
    measure_attention,
    measure_embedding,
    measure_finetuning,
    measure_network,
    measure_pretraining,
)
from dnalm.report.estimates.genome_rates import measure_haplotypes, measure_search
from dnalm.report.estimates.probe_rates import measure_perceptrons, measure_probe
from dnalm.report.estimates.task_work import NETWORK_PASSES
from dnalm.report.estimates.work import Work, Workload
from dnalm.training.settings import Run

LIBRARY = Path(__file__).parents[3]  # the folder that holds `dnalm`
# What the jobs of most stages load.
START = "import dnalm.benchmark.embedding.shards, dnalm.benchmark.finetuning.train"
WIDEST_FIT = 512  # features of a measured probe: wider ones only take longer
WIDEST_PERCEPTRON = 1280
NETWORK_BASES = 300
# What the rate of an encoder is measured of.
OF_ENCODERS = ("embedding", "attention", "finetuning", "pretraining")
Rates = dict[tuple[Any, ...], float]

log = logging.getLogger(__name__)


def measure_rates(load: Workload, works: Iterable[Work]) -> tuple[Rates, float]:
    """Return {key of a rate: units per processor second} for all works, and seconds of a job start.

    What differs little is measured once: an encoder's blocks whatever their number, at a middle
    length of the rows. About `estimate.measure_seconds` of one core are spent; wide encoders and
    loading of libraries add to them. Without minimap2 its rates are missing.
    """
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for work in works:
        if work.amount is not None:
            groups[_group(load, work.rate)].append(work.rate)
    began, rates = processor_seconds(), {}
    seconds = load["estimate"]["measure_seconds"] / (2 + len(groups))
    with _one_thread(), Progress("measure rates", "rates", len(groups)) as done:
        for group, keys in groups.items():
            rate = _measure(load, group, keys, seconds)
            rates |= dict.fromkeys(keys, rate) if rate else {}
            done.advance(1)
    start = _measure_start()
    took = processor_seconds() - began
    log.info("%d rates were measured in %.0f processor seconds", len(groups), took)
    return rates, start


def _group(load: Workload, key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what works have in common whose rate is measured once."""
    what, *rest = key
    if what in OF_ENCODERS:
        config = _encoder(load, rest[0])
        shape = (config.width, config.ffn_width, config.heads, config.feed_forward)
        return (what, *shape, *rest[2:])
    if what == "regressions":
        width, many, batched = rest
        return what, min(WIDEST_FIT, 1 << (width.bit_length() - 1)), many, batched
    if what == "perceptrons":
        return (what,)
    return key


def _measure(
    load: Workload,
    group: tuple[Any, ...],
    keys: list[tuple[Any, ...]],
    seconds: float,
) -> float | None:
    what, key = group[0], keys[0]
    if what in OF_ENCODERS:
        return _measure_encoder(load, what, keys, seconds)
    if what == "network":
        settings = load["networks"][key[1]]
        return measure_network(key[1], settings, NETWORK_BASES, NETWORK_PASSES, seconds)
    if what == "regressions":
        _, width, many, batched = group
        classes = 3 if many else 2
        return measure_probe(width, classes, load["probe"], load["splits"], batched, seconds)
    if what == "perceptrons":
        width = min(WIDEST_PERCEPTRON, round(statistics.median(width for _, width in keys)))
        return measure_perceptrons(width, MlpConfig(**load["mlp"]), load["splits"], seconds)
    if what == "haplotypes":
        return measure_haplotypes(key[1])
    if not find_minimap2():
        return None
    indexed, searched = measure_search()
    return indexed if what == "index" else searched


def _measure_encoder(
    load: Workload, what: str, keys: list[tuple[Any, ...]], seconds: float
) -> float:
    model, run = keys[0][1], load["models"][keys[0][1]]["run"]
    config = _encoder(load, model)
    vocabulary = Vocabulary(run["k"], run["vocabulary"])
    tokens = round(statistics.median(key[2] for key in keys))
    if what == "embedding":
        options = EmbedConfig(
            **{key: value for key, value in load["embed"].items() if key != "export"}
        )
        return measure_embedding(config, vocabulary, tokens, options, seconds)
    if what == "attention":
        thresholds = load["attention"]["thresholds"]
        return measure_attention(config, vocabulary, tokens, thresholds, seconds)
    if what == "finetuning":
        method = {**load["variant_methods"], **load["finetunes"]}[keys[0][3]]
        return measure_finetuning(config, vocabulary, tokens, method, seconds)
    pretrain = Run.from_dict(run).pretrain
    return measure_pretraining(config, tokens, pretrain.masking, pretrain.precision, seconds)


def _encoder(load: Workload, model: str) -> EncoderConfig:
    return EncoderConfig(**load["models"][model]["run"]["encoder"])


def _measure_start() -> float:
    """Return the processor seconds in which a job of most stages loads its libraries."""
    began = processor_seconds()
    code = f"import sys; sys.path.insert(0, {str(LIBRARY)!r}); {START}"
    subprocess.run([sys.executable, "-c", code], check=True)
    return processor_seconds() - began


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
