"""The table of methods: probes, adapters for fine-tuning, and baselines.

A new method is a row here. Configuration, rules, training and the report read the table and decide
by a field, never by a method's name. Functions are given by their dotted paths: nothing is imported
until one is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from dnalm.suggestions import check_choice

BASELINE = "baseline"  # the method of every result that no language model has a part in


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A classifier of fixed embeddings, with a rule of its own.

    Attributes:
        folder: of its results, below `<results>/`.
        words: what figures and tables call it.
        explained: what the glossary of the report says of it.
        shape: its mark in figures; colour says which model.
        published: what the method of a published value begins with; None where there is none.
        not_converged: the sentence of the report on so many fits that failed.
        fitted: the class of its chosen models, which `load` makes of a kept state.
    """

    name: str
    folder: str
    words: str
    explained: str
    shape: str
    published: str | None
    not_converged: str
    fitted: str


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
            given the `options` too; None where there is none.
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


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What scores are compared with.

    Attributes:
        words: what figures and tables call it.
        colour: of its mark; None where it is the model's own, hollow.
        features: the function that returns {name: features [N, F]} of sequences and of the settings
            in `baselines:`, which are then probed; None where there are none, as of the untrained
            encoders, which are embedded as any model.
        bases: the function that returns {candidate: fit} of these settings for per-base tasks
            (`dnalm.benchmark.probing.per_base`); None for what says nothing of single bases.
        network: the function that returns an untrained network of its settings, which is trained on
            the folds of a task as a fine-tuning method is; None where there is none.
        published: the name in the published table under which the paper has it; None elsewhere.
        against: what the table of comparisons calls it; None where nothing is compared with it.
    """

    name: str
    words: str
    colour: str | None
    features: str | None
    bases: str | None
    network: str | None
    published: str | None
    against: str | None


PROBES = (
    Probe(
        name="probe",
        folder="probes",
        words="probe",
        explained="Logistic regression on the embedding of a sequence, made of the token vectors "
        "of one layer. The encoder itself stays as it is.",
        shape="circle",
        published="probing",
        not_converged="{} fits stopped at their iteration limit; raise probe.max_iterations.",
        fitted="dnalm.benchmark.probing.linear.fitted.LinearModel",
    ),
    Probe(
        name="mlp",
        folder="mlp_probes",
        words="MLP probe",
        explained="A multilayer perceptron of one or two hidden layers on the same embeddings.",
        shape="diamond",
        published="probing",
        not_converged="{} trials of networks diverged and were not chosen from.",
        fitted="dnalm.benchmark.probing.mlp.fitted.NetworkModel",
    ),
)
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
SPLICEAI = {"80": "#9edae5", "400": "#5fb7c4", "2k": "#17899b", "10k": "#0b525e"}  # by context
# In the order in which figures draw them.
BASELINES = (
    Baseline(
        name="majority",
        words="most frequent class",
        colour="#a6a6a6",
        features="dnalm.benchmark.probing.baselines.constant_features",
        bases="dnalm.benchmark.probing.per_base.class_shares",
        network=None,
        published=None,
        against=None,
    ),
    Baseline(
        name="gc_content",
        words="GC content",
        colour="#737373",
        features="dnalm.benchmark.probing.baselines.gc_features",
        bases=None,
        network=None,
        published=None,
        against=None,
    ),
    Baseline(
        name="token_ids",
        words="token ids as numbers",
        colour="#c2a878",
        features="dnalm.benchmark.probing.baselines.token_features",
        bases=None,
        network=None,
        published=None,
        against=None,
    ),
    Baseline(
        name="one_hot",
        words="one-hot bases",
        colour="#7a5c2e",
        features="dnalm.benchmark.probing.baselines.one_hot_features",
        bases=None,
        network=None,
        published=None,
        against=None,
    ),
    Baseline(
        name="position_weights",
        words="position weight matrix",
        colour="#4d6a57",
        features=None,
        bases="dnalm.benchmark.probing.per_base.position_weights",
        network=None,
        published=None,
        against=None,
    ),
    Baseline(
        name="cnn",
        words="small CNN, trained from scratch",
        colour="#b07aa1",
        features=None,
        bases=None,
        network="dnalm.model.convolutions.plain_network",
        published=None,
        against=None,
    ),
    Baseline(
        name="bpnet",
        words="BPNet, trained from scratch",
        colour="#9c6ade",
        features=None,
        bases=None,
        network="dnalm.model.convolutions.dilated_network",
        published="BPNet-121k",
        against=None,
    ),
    Baseline(
        name="bpnet_large",
        words="large BPNet, trained from scratch",
        colour="#5b2a86",
        features=None,
        bases=None,
        network="dnalm.model.convolutions.dilated_network",
        published="BPNet-28M",
        against=None,
    ),
    *(
        Baseline(
            name=f"spliceai_{bases}",
            words=f"network of SpliceAI-{bases}, trained from scratch",
            colour=colour,
            features=None,
            bases=None,
            network="dnalm.model.convolutions.residual_network",
            published=None,
            against=None,
        )
        for bases, colour in SPLICEAI.items()
    ),
    Baseline(
        name="kmers",
        words="k-mer counts",
        colour="#000000",
        features="dnalm.benchmark.probing.baselines.kmer_features",
        bases=None,
        network=None,
        published=None,
        against="k-mers",
    ),
    Baseline(
        name="untrained",
        words="untrained encoder",
        colour=None,
        features=None,
        bases=None,
        network=None,
        published=None,
        against="untrained",
    ),
)
LINEAR = PROBES[0]  # by which features of baselines are probed
KMERS, UNTRAINED = BASELINES[-2:]
# What the table of comparisons calls two that are no row here: the baseline of sequences with the
# best validation score on a task, and another trained model or method.
STRONGEST, ANOTHER = "strongest baseline", "another"
PROBE_NAMES = tuple(probe.name for probe in PROBES)
ADAPTER_NAMES = tuple(adapter.name for adapter in ADAPTERS)
BASELINE_NAMES = tuple(baseline.name for baseline in BASELINES)
# Those that are computed from sequences alone.
SEQUENCE_BASELINES = {
    row.name: row for row in BASELINES if row.features or row.bases or row.network
}
NETWORKS = {row.name: row for row in BASELINES if row.network}
# Probes, and fine-tuning by the name of its adapter.
BY_NAME: dict[str, Probe | Adapter] = {method.name: method for method in (*PROBES, *ADAPTERS)}


def find_probe(name: str) -> Probe:
    """Return the row of a probe; raise InputError, with the known ones, for another name."""
    check_choice("probe", name, PROBE_NAMES)
    return PROBES[PROBE_NAMES.index(name)]


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


def find_baseline(name: str) -> Baseline:
    """Return the row of a baseline of sequences; raise InputError for another name."""
    check_choice("baseline", name, SEQUENCE_BASELINES)
    return SEQUENCE_BASELINES[name]


def find_function(path: str) -> Callable:
    """Return the function of a dotted path, imported now."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
