"""IA3 fine-tuning of one fold by the library, and by `peft` on `EsmForSequenceClassification`.

The same weights, rows, batches and first head, float32. The peer's head pools as ours does, because
its own takes <cls>. A side counts only if the mean of all losses is that of ours. Folds are trained
one after the other on a GPU, so ten take ten times as long.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dnalm.benchmark.finetuning.classifier import build_classifier
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.train import seed_fold, train_fold
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.configuration.finetuning import resolve_method
from dnalm.devices import send
from dnalm.files import write_json
from dnalm.model.adapters import add_adapter
from dnalm.model.encoder import EncoderConfig
from dnalm.model.loading import load_model
from dnalm.model.token_batches import TokenRows
from dnalm.model.weights import published_config, save_weights
from on_gpu.machine import Machine, find_absent, say
from on_gpu.models import describe_run, draw_encoder, find_encoder, read_config
from on_gpu.results import Row
from on_gpu.trainer import find_room

BASES, TINY_BASES = 600, 60  # of every row: the paper's tasks have rows of one length
TRAINING, VALIDATION, TEST = 800, 64, 32  # rows
STEPS, TINY_STEPS = 120, 6
UNTIMED = 20  # of the steps
FOLD = 0
ENOUGH_MEMORY = 8e9  # bytes free in the memory's own file system, to keep the weights there
TOLERANCE = 1e-2  # of the mean loss; sums of float32 in another order, and Adam on top
# `output.dense` alone would hit the attention's output too.
FEED_FORWARD = r".*\.layer\.\d+\.output\.dense"
TARGETS = rf".*\.attention\.self\.(key|value)|{FEED_FORWARD}"


def measure(machine: Machine, model: str) -> Iterator[Row]:
    """Yield a row of ours and one of the peer's."""
    with tempfile.TemporaryDirectory(prefix="finetuning-", dir=find_room(ENOUGH_MEMORY)) as name:
        finetuning = _prepare(machine, model, Path(name))
        steps = finetuning.config.steps
        tokens = 1 + BASES // 6 if not machine.tiny else 1 + TINY_BASES // 6
        batch = finetuning.config.batch_size
        say(f"{model}: {steps} steps of IA3 by the library")
        machine.reset_peak()
        clock = Clock(machine, steps)
        fold = train_fold(finetuning, FOLD, clock.tick)
        ours, loss = clock.seconds, fold.history[-1]["train_loss"]
        shared: dict[str, Any] = {
            "part": "finetuning",
            "model": model,
            "unit": "steps/s",
            "sequences": batch,
            "tokens": tokens,
        }
        yield Row(
            side="ours, one fold",
            value=1 / ours,
            gigabytes=machine.peak_gigabytes(),
            note="folds are trained one after the other",
            facts={"tokens_per_second": batch * tokens / ours, "loss": loss, "steps": steps},
            **shared,
        )
        if absent := find_absent("transformers", "peft"):
            yield Row(side="peft IA3", value=None, note=absent, **shared)
            return
        machine.tidy()
        say(f"{model}: the same by peft")
        machine.reset_peak()
        theirs, their_loss = _train_peer(machine, finetuning)
        distance = abs(loss - their_loss) / their_loss
        yield Row(
            side="peft IA3, EsmForSequenceClassification",
            value=1 / theirs,
            ratio=theirs / ours,
            gigabytes=machine.peak_gigabytes(),
            agrees=distance <= TOLERANCE,
            check=f"mean loss of {steps} steps to {distance:.1e}",
            facts={"tokens_per_second": batch * tokens / theirs, "loss": their_loss},
            **shared,
        )


class Clock:
    """Seconds of a step, without those that warm up; the device has ended when it is read."""

    def __init__(self, machine: Machine, steps: int) -> None:
        self._machine, self._steps, self._done = machine, steps, 0
        self._untimed = min(UNTIMED, steps // 2)
        self._begun = self.seconds = 0.0

    def tick(self) -> None:
        self._done += 1
        if self._done == self._untimed:
            self._machine.wait()
            self._begun = time.perf_counter()
        if self._done == self._steps:
            self._machine.wait()
            self.seconds = (time.perf_counter() - self._begun) / (self._steps - self._untimed)


def _prepare(machine: Machine, model: str, folder: Path) -> Finetuning:
    """Write weights and a table with a planted class, and return a fine-tuning of few steps."""
    run, config = describe_run(model), read_config()
    files = {name: str(folder / name) for name in ("run", "weights", "table")}
    write_json(Path(files["run"]), run)
    save_weights(draw_encoder(find_encoder(model), machine.device), files["weights"], {})
    machine.tidy()
    _plant(TINY_BASES if machine.tiny else BASES).to_parquet(files["table"])
    steps = TINY_STEPS if machine.tiny else STEPS
    method = resolve_method(config, "ia3") | {"steps": steps, "evaluate_every": steps}
    summary = {"kind": "binary", "classes": 2}
    embed = config["embed"] | {"pooling": "mean"}
    return Finetuning.of(files, summary, {}, method, embed)


def _plant(bases: int) -> pd.DataFrame:
    """Return random rows of which those of class 1 are rich in G and C."""
    generator = np.random.default_rng(1)
    rows = TRAINING + VALIDATION + TEST
    labels = np.arange(rows) % 2
    shares = [[0.25] * 4, [0.2, 0.3, 0.3, 0.2]]
    letters = np.array(list("ACGT"))
    return pd.DataFrame(
        {
            "id": [f"row.{row}" for row in range(rows)],
            "sequence": ["".join(generator.choice(letters, bases, p=shares[i])) for i in labels],
            "label": labels,
            "split": np.where(np.arange(rows) < rows - TEST, "train", "test"),
            "provenance": "planted",
            "folds": [[FOLD] if row < VALIDATION else [] for row in range(rows)],
        }
    )


class PooledHead(nn.Module):
    """Our head in the place of the peer's: the mean over all tokens but <cls>, and a linear layer.

    No row has a pad or an N, which would not count.
    """

    def __init__(self, output: nn.Linear) -> None:
        super().__init__()
        self.output = output

    def forward(self, states: Tensor, **_: Any) -> Tensor:
        return self.output(states[:, 1:].mean(1))


def _train_peer(machine: Machine, finetuning: Finetuning) -> tuple[float, float]:
    """Return the seconds of a step and the mean loss, on the very batches of the library's fold."""
    config = finetuning.config
    table = read_task(finetuning.table)
    splits = Splits(table, finetuning.kind)
    encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
    rows = TokenRows(
        table["sequence"].tolist(), table["id"].tolist(), vocabulary, encoder.config.max_tokens
    )
    state, sizes = dict(encoder.state_dict()), encoder.config
    random = seed_fold(config, FOLD)
    add_adapter(
        encoder, config.adapter, config.options
    )  # as the library does before it draws the head
    head = build_classifier(encoder, vocabulary, finetuning.head()).output
    peer = _make_peer(machine, sizes, state, head)
    learned = [parameter for parameter in peer.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(
        learned,
        lr=config.learning_rate,
        betas=(config.optimizer["beta1"], config.optimizer["beta2"]),
        eps=config.optimizer["eps"],
    )
    batches = rows.shuffled(splits[FOLD].training, config.batch_size, random)
    clock, losses = Clock(machine, config.steps), []
    peer.train()
    for _ in range(config.steps):
        chosen = next(batches)
        tokens = send(rows.batch(chosen)[0], machine.device)
        labels = send(torch.from_numpy(splits.labels[chosen]), machine.device)
        loss = peer(tokens, labels=labels).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.detach())
        clock.tick()
    return clock.seconds, float(torch.stack(losses).mean())


def _make_peer(
    machine: Machine, config: EncoderConfig, state: dict[str, Tensor], head: nn.Linear
) -> nn.Module:
    from esm_peer import give
    from peft import IA3Config, get_peft_model
    from transformers import EsmConfig, EsmForSequenceClassification

    settings = EsmConfig(**published_config(config), attn_implementation="sdpa", num_labels=2)
    with machine.device:
        peer = EsmForSequenceClassification(settings)
    give(peer, {name: tensor.to(machine.device) for name, tensor in state.items()})
    peer.classifier = PooledHead(head.to(machine.device))
    adapted = get_peft_model(
        peer,
        IA3Config(
            task_type="SEQ_CLS",
            target_modules=TARGETS,
            feedforward_modules=FEED_FORWARD,
            modules_to_save=["classifier"],
        ),
    )
    return adapted.to(machine.device)
