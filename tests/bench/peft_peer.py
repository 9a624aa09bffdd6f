"""`peft` on `EsmForSequenceClassification` as a peer of fine-tuning: our weights, rows and head.

The peer's head pools as ours does, because its own takes `<cls>`. Rows have one length and no N,
so neither side needs a mask.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from comparison import Comparison  # noqa: F401, which finds the library
from torch import Tensor, nn

from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning
from dnalm.configuration.finetuning import resolve_method
from dnalm.files import write_json
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.weights import published_config, save_weights

# `output.dense` alone would hit the attention's output too.
FEED_FORWARD = r".*\.layer\.\d+\.output\.dense"
IA3_TARGETS = rf".*\.attention\.self\.(key|value)|{FEED_FORWARD}"
NO_DROPOUT = {"rank": 1, "alpha": 32, "dropout": 0.0, "targets": ["query", "value"]}


def plant(bases: int, rows: Mapping[str, int], folds: int) -> pd.DataFrame:
    """Return random rows of which those of class 1 are rich in G and C.

    `rows` are counts of training, validation and test; fold i validates every `folds`-th row of
    the validation part, from the i-th on.
    """
    generator = np.random.default_rng(1)
    train = rows["training"] + rows["validation"]
    total = train + rows["test"]
    labels = np.arange(total) % 2
    shares = [[0.25] * 4, [0.2, 0.3, 0.3, 0.2]]
    letters = np.array(list("ACGT"))
    return pd.DataFrame(
        {
            "id": [f"row.{row}" for row in range(total)],
            "sequence": ["".join(generator.choice(letters, bases, p=shares[i])) for i in labels],
            "label": labels,
            "split": np.where(np.arange(total) < train, "train", "test"),
            "provenance": "planted",
            "folds": [[row % folds] if row < rows["validation"] else [] for row in range(total)],
        }
    )


def write_finetuning(
    folder: Path,
    run: Mapping[str, Any],
    encoder: Encoder,
    table: pd.DataFrame,
    config: Mapping[str, Any],
    method: str,
    **changes: Any,
) -> Finetuning:
    """Write a model and a table; return the fine-tuning of the shipped method, with changes.

    `config` is config.yaml. LoRA's dropout is 0: what each side draws would differ.
    """
    files = {name: str(folder / name) for name in ("run", "weights", "table")}
    write_json(Path(files["run"]), run)
    save_weights(encoder, files["weights"], {})
    table.to_parquet(files["table"])
    settings = resolve_method(config, method)
    if settings["options"]:
        settings["options"] = NO_DROPOUT
    embed = config["embed"] | {"pooling": "mean"}
    summary = {"kind": "binary", "classes": 2}
    return Finetuning.of(files, summary, {}, settings | changes, embed)


class PooledHead(nn.Module):
    """Our head in the place of the peer's: the mean over all tokens but <cls>, and a linear layer.

    No row has a pad or an N, which would not count.
    """

    def __init__(self, output: nn.Linear) -> None:
        super().__init__()
        self.output = output

    def forward(self, states: Tensor, **_: Any) -> Tensor:
        return self.output(states[:, 1:].mean(1))


def make_peft(
    config: EncoderConfig,
    state: Mapping[str, Tensor],
    trained: Mapping[str, Tensor],
    settings: FinetuneConfig,
    device: torch.device,
) -> nn.Module:
    """Return the peer with the encoder's tensors and what `classifier_state` says is trained."""
    from esm_peer import GatedIntermediate, give
    from peft import IA3Config, LoraConfig, get_peft_model
    from transformers import EsmConfig, EsmForSequenceClassification

    sizes = EsmConfig(**published_config(config), attn_implementation="sdpa", num_labels=2)
    with device:
        peer = EsmForSequenceClassification(sizes)
        if config.feed_forward == "swiglu":
            for layer in peer.esm.encoder.layer:
                layer.intermediate = GatedIntermediate(config)
                layer.output.dense = nn.Linear(config.ffn_width, config.width, bias=False)
    give(peer, {name: tensor.to(device) for name, tensor in state.items()})
    peer.classifier = PooledHead(nn.Linear(config.width, 2, device=device))
    peer.classifier.output.load_state_dict(
        {name: trained[f"head.{name}"] for name in ("weight", "bias")}
    )
    common: dict[str, Any] = {"task_type": "SEQ_CLS", "modules_to_save": ["classifier"]}
    if not settings.options:
        adapter = IA3Config(target_modules=IA3_TARGETS, feedforward_modules=FEED_FORWARD, **common)
        return get_peft_model(peer, adapter).to(device)
    options = settings.options
    adapter = LoraConfig(
        r=options["rank"],
        lora_alpha=options["alpha"],
        lora_dropout=options["dropout"],
        target_modules=r".*\.attention\.self\.(query|value)",
        **common,
    )
    peer = get_peft_model(peer, adapter).to(device)
    modules = dict(peer.named_modules())
    for name, values in trained.items():
        if name.endswith(".down"):
            _, _, block, _, target, _ = name.split(".")
            theirs = f"base_model.model.esm.encoder.layer.{block}.attention.self.{target}"
            modules[theirs].lora_A["default"].weight.data.copy_(values)
    return peer


class PeftStep:
    """A step of the peer: loss, backward, Adam. Its forward pass runs in a context of precision.

    `compiled` makes one graph of all of it, by `torch.compile`.
    """

    def __init__(
        self, peer: nn.Module, settings: FinetuneConfig, *, compiled: bool = False
    ) -> None:
        self.peer = torch.compile(peer.train(), dynamic=False) if compiled else peer.train()
        self.adam = torch.optim.Adam(
            [own for own in peer.parameters() if own.requires_grad],
            lr=settings.learning_rate,
            betas=(settings.optimizer["beta1"], settings.optimizer["beta2"]),
            eps=settings.optimizer["eps"],
        )

    def __call__(self, tokens: Tensor, labels: Tensor, precision: AbstractContextManager) -> Tensor:
        with precision:
            loss = self.peer(tokens, labels=labels).loss
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return loss.detach()
