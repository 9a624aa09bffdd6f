"""Work on variants: their scores, and encoders that are fine-tuned on both alleles."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.report.estimates.flops import count_passes, count_tokens, count_trained, forward_flops
from dnalm.report.estimates.task_work import FOREIGN, inference_bytes, training_memory
from dnalm.report.estimates.work import FLOAT32_BYTES, FLOP, Model, Work, Workload, make_unknown
from dnalm.variants.readings import Plan
from dnalm.variants.windows import BOTH, choose_bases

SCORES, TUNING = "variants", "fine-tuning on variants"
NOT_STATED = "alleles: say how many there are in estimate.variants"
ALLELES = 2


def list_variants(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield the zero-shot scores of each entry by each model.

    Each allele has passes of its own, as where no two are at one position, and the head is run
    where losses ask for it.
    """
    for name, entry in load["variants"].items():
        for model in map(models.get, entry["models"]):
            why = FOREIGN if model.config is None else NOT_STATED
            if model.config is None or entry["alleles"] is None:
                yield make_unknown(SCORES, why, FLOP, model=model.name, task=name)
                continue
            (tokens, flops), config = count_allele_flops(entry, model), model.config
            rows = entry["alleles"]
            yield Work(
                stage=SCORES,
                method="",
                model=model.name,
                task=name,
                jobs=1,
                amount=rows * flops,
                unit=FLOP,
                rate=("embedding", model.name, tokens),
                precision=entry["precision"],
                memory=inference_bytes(config, entry["batch_tokens"]),
                disk=float(ALLELES * rows * config.width * FLOAT32_BYTES * entry["features"]),
            )


def count_allele_flops(entry: Mapping[str, Any], model: Model) -> tuple[int, float]:
    """Return the tokens of a window, and the FLOPs of the scores of an allele."""
    tokens, config = _count_window_tokens(entry["window"], model), model.config
    plan = Plan(scores=tuple(entry["scores"]), pooling="mean", features=entry["features"])
    windows = (1 if entry["frames"] == 1 else model.k) * (2 if entry["strands"] == BOTH else 1)
    of_head = 2 * tokens * config.width * (config.width + config.vocabulary_size)
    heads = plan.losses * (1 + ("loss_difference" in plan.scores))
    passes = len(plan.passes()) * forward_flops(config, config.layers, tokens)
    return tokens, windows * (passes + heads * of_head)


def list_variant_finetuning(load: Workload, models: Mapping[str, Model]) -> Iterator[Work]:
    """Yield the fine-tuning on pairs of windows of each entry, method and model.

    All alleles are counted, as if each had a label.
    """
    for name, entry in load["variants"].items():
        for method_name in entry["finetune"]:
            method = load["variant_methods"][method_name]
            for model in map(models.get, entry["models"]):
                names = {"method": method_name, "model": model.name, "task": name}
                why = FOREIGN if model.config is None else NOT_STATED
                if model.config is None or entry["alleles"] is None:
                    yield make_unknown(TUNING, why, FLOP, **names)
                    continue
                tokens, config = _count_window_tokens(entry["window"], model), model.config
                evaluations = -(-method["steps"] // method["evaluate_every"])
                # Each group is chosen by another one, and scored once.
                evaluated = entry["alleles"] * (evaluations + 1)
                steps = entry["groups"] * method["steps"] * method["batch_size"]
                rows = count_passes(config, method) * steps + evaluated
                numbers = count_trained(config, method) + 2 * (3 * config.width + 1)
                size = ALLELES * method["batch_size"]
                memory = training_memory(config, size, tokens, method["precision"])
                yield Work(
                    stage=TUNING,
                    **names,
                    jobs=1,
                    amount=ALLELES * rows * forward_flops(config, config.layers, tokens),
                    unit=FLOP,
                    rate=("finetuning", model.name, tokens, method_name),
                    precision=method["precision"],
                    memory=float(memory.weights + memory.activations + 3 * FLOAT32_BYTES * numbers),
                    disk=0.0,
                )


def _count_window_tokens(window: str | int, model: Model) -> int:
    return count_tokens(choose_bases(window, model.k, model.config.max_tokens), model.k)
