"""Methods of fine-tuning."""

from dataclasses import dataclass

from dnalm.suggestions import check_choice


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What fine-tuning trains of an encoder, beside a classifier on top of it.

    Attributes:
        words, explained, shape, published: as of a `Probe`, of the fine-tuning method of this name.
        add: the function that prepares an encoder in place, whose parameters then require a
            gradient where they are trained, and returns these. It takes the `options` by name.
        options: what `options:` of a fine-tuning method has to set, and nothing else.
        learning_rates: the lowest and the highest at which it usually learns [choice].
        frozen: whether the encoder's own weights stay as they are, so that folds can share them.
        in_peft: the function that returns settings and tensors of its `adapter_state` for `peft`,
            given the `options` too, and `linear`, the names of layers of a model that is not ours,
            else None; None where there is none.
    """

    name: str
    words: str
    explained: str
    shape: str
    published: str | None
    add: str
    options: tuple[str, ...]
    learning_rates: tuple[float, float]
    frozen: bool
    in_peft: str | None


ADAPTERS = (
    Adapter(
        name="ia3",
        words="IA3 fine-tuning",
        explained="Learns, beside a classifier, a few scaling vectors in every layer; the "
        "encoder's own weights stay as they are.",
        shape="square",
        published="fine-tune IA3",
        add="dnalm.model.ia3.add_ia3",
        options=(),
        learning_rates=(1e-4, 5e-2),
        frozen=True,
        in_peft="dnalm.model.ia3.ia3_in_peft",
    ),
    Adapter(
        name="lora",
        words="LoRA fine-tuning",
        explained="Learns, beside a classifier, a product of two thin matrices for some matrices "
        "of every layer, which is added to them; the encoder's own weights stay as they are.",
        shape="cross",
        published=None,
        add="dnalm.model.lora.add_lora",
        options=("rank", "alpha", "dropout", "targets"),
        learning_rates=(5e-5, 5e-3),
        frozen=True,
        in_peft="dnalm.model.lora.lora_in_peft",
    ),
    Adapter(
        name="full",
        words="full fine-tuning",
        explained="Trains a classifier and every weight of the encoder that the classifier uses.",
        shape="triangle-down",
        published="fine-tune full",
        add="dnalm.model.adapters.train_all",
        options=(),
        learning_rates=(1e-6, 1e-4),
        frozen=False,
        in_peft=None,
    ),
    Adapter(
        name="head",
        words="trained head",
        explained="Trains the classifier alone, on the last layer of an encoder that stays as it "
        "is: what adapters have to beat.",
        shape="triangle-right",
        published=None,
        add="dnalm.model.adapters.train_none",
        options=(),
        learning_rates=(1e-4, 1e-1),
        frozen=True,
        in_peft=None,
    ),
)
FULL = ADAPTERS[-2]  # of which a network that was not pretrained is trained, too
# What LoRA can be added to: the linear layers of a block, by names that `targets` uses.
LORA_TARGETS = {
    "query": "attention.query",
    "key": "attention.key",
    "value": "attention.value",
    "output": "attention.output",
    "ffn_input": "feed_forward.input",
    "ffn_output": "feed_forward.output",
}
ADAPTER_NAMES = tuple(adapter.name for adapter in ADAPTERS)


def find_adapter(name: str) -> Adapter:
    """Return the row of an adapter; raise InputError, with the known ones, for another name."""
    check_choice("adapter", name, ADAPTER_NAMES)
    return ADAPTERS[ADAPTER_NAMES.index(name)]


def warn_of_rate(key: str, name: str, rate: float) -> str | None:
    """Return a sentence on a learning rate, of the key `key`, that suits not this adapter."""
    adapter = find_adapter(name)
    lowest, highest = adapter.learning_rates
    if lowest <= rate <= highest:
        return None
    others = [
        row.name for row in ADAPTERS if row.learning_rates[0] <= rate <= row.learning_rates[1]
    ]
    suits = f" and is a rate for {' or '.join(others)}" if others else ""
    return (
        f"{key} is {rate:g}{suits}, but {adapter.words} usually learns at {lowest:g} to {highest:g}"
        f": {'lower' if rate > highest else 'raise'} it, or look at the training losses."
    )
