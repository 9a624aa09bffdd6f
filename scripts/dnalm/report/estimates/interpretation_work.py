"""Work of interpretation: forward passes of windows, and of the head where it predicts tokens.

Shape letters: T tokens of a window, D width.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.interpretation.annotated import BATCH_TOKENS, EACH
from dnalm.interpretation.element_maps import choose_layers
from dnalm.interpretation.elements import OF_TRANSCRIPTS
from dnalm.interpretation.reconstruction import CENTRE
from dnalm.report.estimates.flops import count_tokens, forward_flops
from dnalm.report.estimates.task_work import FOREIGN, inference_bytes
from dnalm.report.estimates.variant_work import count_allele_flops
from dnalm.report.estimates.work import FLOP, Model, Work, Workload, make_unknown

ATTENTION, RECONSTRUCTION, MAPS = "attention", "reconstruction", "maps"
SNPS, ASSAYS, TRACKS = "SNPs", "assays", "tracks"
NO_GENOME = "bases: the genome is not here, and estimate.bases does not say them"
NO_TABLE = "alleles: the table is not here"
NO_GROUPS = "haplotypes: of each population, which the panel's samples name"
FLOAT32 = "float32"
COUNT_BYTES = 2  # of a count of attention


def list_annotations(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield attention, reconstruction and maps of each annotation by each model.

    As many windows as are asked for are counted; where fewer occurrences lie apart, fewer are read.
    """
    counted = {ATTENTION: _attention, RECONSTRUCTION: _reconstruction, MAPS: _maps}
    for name, entry in load["annotations"].items():
        for analysis in entry["analyses"]:
            for model in map(models.get, entry["models"]):
                windows, why = count_windows(entry), FOREIGN if model.config is None else NO_GENOME
                if model.config is None and analysis == ATTENTION:
                    continue  # which such a model has not
                if model.config is None or windows is None:
                    yield make_unknown(analysis, why, FLOP, model=model.name, task=name)
                    continue
                tokens = count_tokens(entry["bases"], model.k)
                flops, rate, disk = counted[analysis](load, model, tokens)
                kept = windows * disk
                yield _work(analysis, model, name, tokens, windows * flops, rate, kept)


def count_windows(entry: Mapping[str, Any]) -> int | None:
    """Return the most windows of an annotation: `each` of every element, or those in a row."""
    if entry["windows"] == EACH:
        given = [*(OF_TRANSCRIPTS if entry["transcripts"] else ()), *entry["bed"]]
        return entry["each"] * len(entry["elements"] or given)
    return None if entry["amount"] is None else entry["amount"] // entry["bases"]


Counted = tuple[float, tuple[Any, ...], float]  # FLOPs of a window, the rate, bytes kept of it


def _attention(load: Workload, model: Model, tokens: int) -> Counted:
    config = model.config
    kept = 2 * len(load["attention"]["thresholds"]) * config.layers * config.heads * tokens
    flops = forward_flops(config, config.layers, tokens)
    return flops, (ATTENTION, model.name, tokens), float(COUNT_BYTES * kept)


def _reconstruction(load: Workload, model: Model, tokens: int) -> Counted:
    settings, flops = load["reconstruction"], 0.0
    for how in settings["masks"]:
        masked = 1 if how == CENTRE else settings["share"] * (tokens - 1)
        flops += _predict_flops(model, tokens, masked)
    return flops, ("embedding", model.name, tokens), 0.0


def _maps(load: Workload, model: Model, tokens: int) -> Counted:
    last = max(choose_layers(load["maps"]["layers"], model.config.layers))
    return forward_flops(model.config, last, tokens), ("embedding", model.name, tokens), 0.0


def list_snps(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield masked SNPs of each entry by each model, one token of each haplotype."""
    for name, entry in load["snps"].items():
        for model in map(models.get, entry["models"]):
            why = FOREIGN if model.config is None else NO_GROUPS
            if model.config is None or entry["amount"] is None:
                yield make_unknown(SNPS, why, FLOP, model=model.name, task=name)
                continue
            tokens = count_tokens(entry["bases"], model.k)
            flops = entry["amount"] * _predict_flops(model, tokens, 1)
            yield _work(SNPS, model, name, tokens, flops, ("embedding", model.name, tokens))


def list_assays(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield the scores of each assay's alleles by each model, as those of variants."""
    for name, entry in load["assays"].items():
        for model in map(models.get, entry["models"]):
            why = FOREIGN if model.config is None else NO_TABLE
            if model.config is None or entry["amount"] is None:
                yield make_unknown(ASSAYS, why, FLOP, model=model.name, task=name)
                continue
            tokens, flops = count_allele_flops(entry, model)
            rate, amount = ("embedding", model.name, tokens), entry["amount"] * flops
            precision, size = entry["precision"], entry["batch_tokens"]
            yield _work(ASSAYS, model, name, size, amount, rate, precision=precision)


def list_tracks(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield the tracks of each entry, model and frame: every k-mer masked once, a share at a time.

    Windows lie side by side, so that 1 / share rounds of all of them are read.
    """
    for name, entry in load["tracks"].items():
        for model in map(models.get, entry["models"]):
            why = FOREIGN if model.config is None else NO_GENOME
            if model.config is None or entry["amount"] is None:
                yield make_unknown(TRACKS, why, FLOP, model=model.name, task=name)
                continue
            most = (model.config.max_tokens - 1) * model.k
            bases = most if entry["bases"] == "auto" else entry["bases"]
            kmers, rounds = bases // model.k, max(1, round(1 / entry["share"]))
            windows = entry["amount"] / (kmers * model.k)
            flops = windows * rounds * _predict_flops(model, 1 + kmers, kmers / rounds)
            jobs, tokens = len(entry["frames"]), 1 + kmers
            rate = ("embedding", model.name, tokens)
            yield _work(TRACKS, model, name, tokens, jobs * flops, rate, jobs=jobs)


def _predict_flops(model: Model, tokens: int, masked: float) -> float:
    """Return the FLOPs of a window of T tokens and of the head at some of them."""
    config = model.config
    head = 2 * config.width * (config.width + config.vocabulary_size)
    return forward_flops(config, config.layers, tokens) + masked * head


def _work(
    stage: str,
    model: Model,
    task: str,
    tokens: int,
    amount: float,
    rate: tuple[Any, ...],
    disk: float = 0.0,
    *,
    jobs: int = 1,
    precision: str = FLOAT32,
) -> Work:
    return Work(
        stage=stage,
        method="",
        model=model.name,
        task=task,
        jobs=jobs,
        amount=amount,
        unit=FLOP,
        rate=rate,
        precision=precision,
        memory=inference_bytes(model.config, max(tokens, BATCH_TOKENS)),
        disk=disk,
    )
