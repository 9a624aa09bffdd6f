"""One step of fine-tuning against `peft` on `EsmForSequenceClassification`: IA3 and LoRA.

    python tests/bench/finetune.py --output results/bench/finetune.json

Sequences per second of processor time of one CPU thread, float32, the two sides in turns: the same
weights, batch, adapter and head. A step is forward, loss, backward and Adam; ours also puts its
batch together. The peer runs as it is and with `torch.compile`. A case counts only if both have
the same loss at their first step, to 1e-6, and after all steps. In the last cases ten folds make a
step together, and one by one.
"""

import logging
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import yaml
from comparison import Comparison, read_arguments, report, time_in_turns
from esm_peer import can_compile
from own_step import make_config, make_encoder
from peft_peer import PeftStep, make_peft, plant, write_finetuning

from dnalm.benchmark.finetuning.learner import SingleLearner, rounded
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.stack import StackedLearner
from dnalm.model.encoder import EncoderConfig
from dnalm.model.loading import load_model

CONFIG = Path(__file__).resolve().parents[2] / "config.yaml"
SMALL = {"layers": 4, "heads": 4, "width": 128, "ffn_width": 512, "max_tokens": 128}
LARGE = {"layers": 6, "heads": 8, "width": 512, "ffn_width": 2048, "max_tokens": 128}
SMALL_ROUNDS, LARGE_ROUNDS = 15, 5
LIMITS = {("v1", "SMALL"): 1.25, ("v1", "LARGE"): 1.2, ("v2", "LARGE"): 1.1}
FOLDS, FOLD_LIMIT = 10, 0.9
BASES = 600  # 101 tokens
ROWS = {"training": 80, "validation": 20, "test": 8}
RATE = 1e-4
FIRST_TOLERANCE, LAST_TOLERANCE = 1e-6, 1e-4  # of the loss
UNIT = "sequences per CPU second"
TINY_SIZES = {"layers": 2, "heads": 2, "width": 32, "ffn_width": 64, "max_tokens": 24}
TINY = {
    "SMALL": TINY_SIZES,
    "LARGE": TINY_SIZES,
    "BASES": 60,
    "SMALL_ROUNDS": 1,
    "LARGE_ROUNDS": 1,
}


def prepare(folder: Path, encoder: EncoderConfig, form: str, method: str) -> Finetuning:
    """Write a random model and rows with a planted class; return the shipped method."""
    run = {"model": "bench", "encoder": asdict(encoder), "k": 6, "vocabulary": form}
    return write_finetuning(
        folder,
        run,
        make_encoder(encoder),
        plant(BASES, ROWS, FOLDS),
        yaml.safe_load(CONFIG.read_text()),
        method,
        learning_rate=RATE,
    )


def compare_peft(
    case: str,
    form: str,
    method: str,
    sizes: dict[str, int],
    rounds: int,
    limit: float,
    *,
    compiled: bool = False,
) -> Comparison:
    """Return the speed of our step beside that of `peft`, which may be compiled."""
    config = make_config(form, **sizes)
    with tempfile.TemporaryDirectory(prefix="finetune-") as name:
        finetuning = prepare(Path(name), config, form, method)
        learner = SingleLearner(finetuning)
        learner.begin([0], {})
        encoder, _ = load_model(finetuning.run, finetuning.weights)
        settings = finetuning.config
        batch = learner.fold.split.training[: settings.batch_size]
        tokens, padded = learner.data.rows.batch(batch)
        assert not padded
        labels = torch.from_numpy(learner.fold.labels[batch])
        step = PeftStep(
            make_peft(config, encoder.state_dict(), learner.kept(0), settings, learner.device),
            settings,
            compiled=compiled,
        )
        peer = partial(step, tokens, labels, rounded(settings, learner.device))
        losses: list[torch.Tensor] = []

        def ours() -> None:
            losses.append(learner.update([batch], len(losses) + 1, RATE)[0])

        first = abs(float(learner.update([batch], 1, RATE)) / float(peer()) - 1)
        seconds = time_in_turns(ours, peer, rounds)
        ours()
        last = abs(float(losses[-1]) / float(peer()) - 1)
    sys.stderr.write(f"{case}: losses differ by {first:.1e} at first, {last:.1e} at last\n")
    return compared(
        *(case, len(batch), seconds), first <= FIRST_TOLERANCE and last <= LAST_TOLERANCE, limit
    )


def compare_folds(case: str, form: str, method: str, sizes: dict[str, int]) -> Comparison:
    """Return the speed of ten folds that make a step together beside that of one by one."""
    with tempfile.TemporaryDirectory(prefix="finetune-") as name:
        finetuning = prepare(Path(name), make_config(form, **sizes), form, method)
        folds = list(range(FOLDS))
        together = StackedLearner(finetuning)
        together.begin(folds, {})
        apart = [SingleLearner(finetuning) for _ in folds]
        for fold, learner in zip(folds, apart, strict=True):
            learner.begin([fold], {})
        size = finetuning.config.batch_size
        batches = [learner.fold.split.training[:size] for learner in apart]
        losses: list[torch.Tensor] = []

        def ours() -> None:
            losses.append(together.update(batches, len(losses) + 1, RATE))

        def one_by_one() -> torch.Tensor:
            step = len(losses) + 1
            pairs = zip(apart, batches, strict=True)
            return torch.cat([own.update([batch], step, RATE) for own, batch in pairs])

        first = float((together.update(batches, 1, RATE) / one_by_one() - 1).abs().max())
        seconds = time_in_turns(ours, one_by_one, SMALL_ROUNDS)
        ours()
        last = float((losses[-1] / one_by_one() - 1).abs().max())
    sys.stderr.write(f"{case}: losses differ by {first:.1e} at first, {last:.1e} at last\n")
    correct = first <= FIRST_TOLERANCE and last <= LAST_TOLERANCE
    return compared(case, FOLDS * size, seconds, correct, FOLD_LIMIT)


def compared(
    case: str, sequences: int, seconds: tuple[float, float], correct: bool, limit: float
) -> Comparison:
    return Comparison(
        case=case,
        ours=sequences / seconds[0],
        peer=sequences / seconds[1],
        unit=UNIT,
        correct=correct,
        limit=limit,
    )


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = []
    for (form, size), limit in LIMITS.items():
        sizes, rounds = globals()[size], globals()[f"{size}_ROUNDS"]
        for method in ("ia3", "lora"):
            case = f"{method}, {form}, width {sizes['width']}"
            rows.append(compare_peft(case, form, method, sizes, rounds, limit))
            if can_compile():
                own = (f"{case}, peer compiled", form, method, sizes, rounds, 1.0)
                rows.append(compare_peft(*own, compiled=True))
    for method in ("ia3", "lora"):
        case = f"{method}, v1, width {SMALL['width']}, ten folds together and one by one"
        rows.append(compare_folds(case, "v1", method, SMALL))
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
