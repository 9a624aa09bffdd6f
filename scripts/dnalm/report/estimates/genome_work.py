"""Work on genomes and corpora: haplotypes, pretraining, and the search of tasks in genomes."""

from collections.abc import Iterator, Mapping

import torch

from dnalm.corpus.windows import count_window_tokens
from dnalm.model.config import count_parameters
from dnalm.model.encoder import Encoder
from dnalm.parallel.sharding import Layout
from dnalm.report.estimates.work import (
    BASES,
    FLOAT32_BYTES,
    FLOP,
    GENOTYPES,
    NO_TABLE,
    ROW_BASES,
    Model,
    Work,
    Workload,
    is_known,
    make_unknown,
)
from dnalm.training.hardware import count_flops
from dnalm.training.memory import CPU_MICRO_BATCH, Load, estimate_memory
from dnalm.training.settings import Run

NO_GENOME = "bases: the genome does not exist yet, and estimate.bases does not say them"
NO_PANEL = "records and samples: estimate.panels does not say them"
# Of an index of minimap2 (docs/explanation/performance.md), of the stores of haplotypes per
# genotype and while they are made (README): measured.
INDEX_BYTES, SHORT_INDEX_BYTES, SHORT_BASES = 10, 15, 200
BYTES_PER_GENOTYPE, STORE_BYTES = 0.02, 0.3e9
CHECKPOINT_BYTES = 12  # a parameter and Adam's two moments in float32


def list_haplotypes(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for name, panel in load["panels"].items():
        samples = panel["samples"] if isinstance(panel["samples"], int) else None
        if "records" not in panel or samples is None:
            yield make_unknown("haplotypes", NO_PANEL, GENOTYPES, task=name)
            continue
        genotypes = panel["records"] * samples
        yield Work(
            stage="haplotypes",
            method="",
            model="",
            task=name,
            jobs=1,
            amount=genotypes,
            unit=GENOTYPES,
            rate=("haplotypes", samples),
            precision=None,
            memory=STORE_BYTES,
            disk=BYTES_PER_GENOTYPE * 2 * genotypes,
        )


def list_pretraining(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    for name in load["pretrained"]:
        model = models[name]
        pretrain = Run.from_dict(model.facts["run"]).pretrain
        tokens = count_window_tokens(model.facts["corpus"])
        slots, steps = pretrain.masking.count_slots(tokens), pretrain.count_steps(tokens)
        with torch.device("meta"):
            encoder = Encoder(model.config)
        of_window = count_flops(encoder, tokens, slots)
        evaluated = (steps // model.facts["validate_every"] + 2) * load["evaluation_windows"]
        # As on a CPU where it is left to the machine: a GPU takes as many as fit.
        micro_batch = model.facts["micro_batch"]
        micro_batch = CPU_MICRO_BATCH if micro_batch == "auto" else micro_batch
        memory = estimate_memory(
            model.config,
            Layout(shards=1, reshard=True, activation_checkpointing=False),
            Load(
                sequences=min(micro_batch, pretrain.batch_sequences),
                tokens=tokens,
                selected=slots,
                precision=pretrain.precision,
            ),
        )
        parameters = count_parameters(model.config)
        kept = model.facts["keep_last"] * CHECKPOINT_BYTES + FLOAT32_BYTES
        yield Work(
            stage="pretraining",
            method="",
            model=name,
            task="",
            jobs=1,
            amount=of_window * (steps * pretrain.batch_sequences + evaluated / 3),
            unit=FLOP,
            rate=("pretraining", name, tokens),
            precision=pretrain.precision,
            memory=memory.total,
            disk=kept * parameters,
        )


def list_exposure(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    if not load["located"] or not load["searched"]:
        return
    for name, bases in load["searched"].items():
        if bases is None:
            yield make_unknown("exposure", NO_GENOME, BASES, task=name)
    known = sum(filter(None, load["searched"].values()))
    size = load["exposure"]["index_bases"]
    tasks = [load["tasks"][name] for name in load["located"]]
    for task in tasks:
        if not is_known(task):
            yield make_unknown("exposure", NO_TABLE, ROW_BASES)
    rows = sum((task["train"] + task["test"]) * task["bases"] for task in tasks if is_known(task))
    if not known or not rows:
        return
    short = any(task["bases"] < SHORT_BASES for task in tasks if is_known(task))
    memory = min(size, known) * (SHORT_INDEX_BYTES if short else INDEX_BYTES)
    common = {"stage": "exposure", "model": "", "task": "", "precision": None, "disk": 0.0}
    yield Work(
        **common,
        method="index",
        jobs=-(-len(load["searched"]) // load["exposure"]["genomes_per_job"]),
        amount=float(known),
        unit=BASES,
        rate=("index",),
        memory=memory,
    )
    yield Work(
        **common,
        method="search",
        jobs=0,
        amount=rows * max(1.0, known / size),
        unit=ROW_BASES,
        rate=("search",),
        memory=memory,
    )
