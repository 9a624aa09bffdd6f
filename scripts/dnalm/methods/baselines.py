"""What language models are compared with."""

from dataclasses import dataclass

from dnalm.suggestions import check_choice


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
KMERS, UNTRAINED = BASELINES[-2:]
BASELINE_NAMES = tuple(baseline.name for baseline in BASELINES)
# Those that are computed from sequences alone.
SEQUENCE_BASELINES = {
    row.name: row for row in BASELINES if row.features or row.bases or row.network
}
NETWORKS = {row.name: row for row in BASELINES if row.network}


def find_baseline(name: str) -> Baseline:
    """Return the row of a baseline of sequences; raise InputError for another name."""
    check_choice("baseline", name, SEQUENCE_BASELINES)
    return SEQUENCE_BASELINES[name]
