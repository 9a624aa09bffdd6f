"""Scores of alleles: equal to transformers, window by window; worked numbers; shared passes."""

import numpy as np
import pytest
import torch
from bench.variant_peer import make_esm, tokenise
from bench.variant_peer import score as score_by_peer

from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary
from dnalm.model.loading import load_model
from dnalm.variants.alleles import Allele
from dnalm.variants.distances import MEASURES, compute_distances
from dnalm.variants.language_model import EncoderModel
from dnalm.variants.passes import score_alleles
from dnalm.variants.readings import Plan, collect_windows, count_passes
from dnalm.variants.score_table import SCORE_NAMES
from dnalm.variants.windows import WindowConfig, Windows

K, BASES = 3, 61  # the last base of a window is a token of its own
COSINES = {"pooled": 0.984732, "token": 0.774597, "flat": 0.755929}


def plan_of(*scores, features=False) -> Plan:
    return Plan(scores=scores or SCORE_NAMES, pooling="mean", features=features)


@pytest.fixture(scope="module")
def contig(sequence):
    return sequence(11, 600)


@pytest.fixture(scope="module")
def files(make_files, contig):
    return make_files({"c": contig}, k=K)


@pytest.fixture(scope="module")
def encoder(files):
    return load_model(files["run"], files["weights"])[0]


@pytest.fixture
def make(files, encoder):
    """Return a function that scores alleles of one contig, {name: float64 [alleles]}."""

    def compute(alleles, plan=None, batch=4096, layer=2, model=None, **windows):
        plan = plan or plan_of()
        model = model or EncoderModel(encoder, Vocabulary(K, "v1"), layer, "float32")
        made = make_windows(files, **windows)
        numbered = dict(enumerate(alleles))
        scored = score_alleles(model, made, numbered, len(alleles), plan, batch)
        return {name: scored.scores[:, i] for i, name in enumerate(plan.scores)}

    return compute


def make_windows(files, **changes) -> Windows:
    defaults = {"bases": BASES, "k": K, "frames": 1, "strands": "forward", "shared_bases": 1}
    config = WindowConfig(**({**defaults, "max_n": 0, "max_tokens": 41} | changes))
    return Windows(GenomeBases(files["bases"], files["contigs"]), Vocabulary(K, "v1"), config)


def snv(contig, start, step=1) -> Allele:
    letters = "ACGT"
    other = letters[(letters.index(contig[start]) + step) % 4]
    return Allele(contig="c", start=start, reference=contig[start], alternative=other)


def some_alleles(contig) -> list[Allele]:
    """Return SNVs, some near the ends and some at one position, MNVs and indels."""
    alleles = [snv(contig, at) for at in (2, 31, 200, 201, 401, 598)]
    alleles += [snv(contig, 200, step) for step in (2, 3)]
    edits = [(300, 2), (300, 7), (350, 4)]
    alleles += [
        Allele(
            contig="c",
            start=at,
            reference=contig[at : at + size],
            alternative="".join("CGTA"["ACGT".index(letter)] for letter in contig[at : at + size]),
        )
        for at, size in edits
    ]
    alleles += [
        Allele(contig="c", start=at, reference=contig[at : at + size], alternative=other)
        for at, size, other in ((250, 1, "GATTACA"), (251, 5, "T"), (590, 4, "A"), (250, 1, "TT"))
    ]
    return [allele for allele in alleles if allele.reference != allele.alternative]


@pytest.mark.parametrize(
    ("layer", "frames", "strands"), [(2, 1, "forward"), (1, 1, "reverse"), (2, 3, "both")]
)
def test_scores_equal_those_of_transformers_window_by_window(
    make, encoder, contig, layer, frames, strands
):
    alleles = some_alleles(contig)
    found = make(alleles, layer=layer, frames=frames, strands=strands)
    lefts = [BASES // 2] if frames == 1 else [BASES // 2 // K * K + frame for frame in range(K)]
    model = make_esm(encoder)
    for row, allele in enumerate(alleles):
        place = (allele.start, allele.reference, allele.alternative)
        shape = {"bases": BASES, "k": K, "version": "v1", "lefts": lefts}
        expected = score_by_peer(model, contig, *place, **shape, layer=layer, strands=strands)
        for name in SCORE_NAMES:
            if name in expected:
                assert found[name][row] == pytest.approx(expected[name], rel=1e-5, abs=1e-5)
            else:
                assert np.isnan(found[name][row]), (name, allele)


def test_the_three_cosines_of_the_worked_example():
    reference = torch.tensor([[1.0, 2, 0], [0, 1, 1]])
    alternative = torch.tensor([[1.0, 1, 1], [0, 1, 0]])
    views = {
        "pooled": (lambda x: x.mean(0)[None], [0.984732, 2.0, 0.5, 0.5]),
        "token": (lambda x: x[:1], [0.774597, 3.0, 2.0, 1.414214]),
        "flat": (lambda x: x.flatten()[None], [0.755929, 4.0, 3.0, 1.732051]),
    }
    for place, (view, expected) in views.items():
        (found,) = compute_distances(view(reference), view(alternative)).tolist()
        assert found == pytest.approx(expected, abs=1e-6)
        assert found[MEASURES.index("cosine")] == pytest.approx(COSINES[place], abs=1e-6)


class Table:
    """A model without a head: the vector of a token, wherever it stands; <cls> has 0."""

    vocabulary = Vocabulary(2, "v1")
    device = torch.device("cpu")

    def __init__(self, vectors):
        self.vectors = torch.zeros(self.vocabulary.size, 3)
        for token, vector in vectors.items():
            self.vectors[self.vocabulary.tokens().index(token)] = torch.tensor(vector)

    def read(self, tokens, *, states, losses):
        assert states
        assert not losses
        return self.vectors[tokens], None


def test_any_model_of_tokens_gives_distances_which_are_named_by_their_place(store):
    genome = GenomeBases.of(store("g", {"c": "ACGT"}))
    config = WindowConfig(
        bases=4, k=2, frames=1, strands="forward", shared_bases=1, max_n=0, max_tokens=9
    )
    model = Table({"AC": [1.0, 2, 0], "GT": [0.0, 1, 1], "AG": [1.0, 1, 1], "AT": [0.0, 1, 0]})
    allele = Allele(contig="c", start=1, reference="CG", alternative="GA")
    plan = plan_of(*(name for name in SCORE_NAMES if name.startswith("cosine")))
    windows = Windows(genome, model.vocabulary, config)
    scored = score_alleles(model, windows, {0: allele}, 1, plan, 4096)
    found = dict(zip(plan.scores, scored.scores[0], strict=True))
    assert found["cosine"] == pytest.approx(COSINES["pooled"], abs=1e-6)
    assert found["cosine_flat"] == pytest.approx(COSINES["flat"], abs=1e-6)
    assert found["cosine_token"] == pytest.approx(COSINES["pooled"], abs=1e-6)  # both tokens change


def test_a_long_window_of_large_states_loses_nothing_of_a_small_difference(store, sequence):
    contig = sequence(5, 4000)
    config = WindowConfig(
        bases=4000, k=2, frames=1, strands="forward", shared_bases=1, max_n=0, max_tokens=2001
    )
    model = Table({})
    noise = torch.randn(model.vectors.shape, generator=torch.Generator().manual_seed(6))
    model.vectors = 100 + noise
    allele = snv(contig, 2000)
    windows = Windows(GenomeBases.of(store("g", {"c": contig})), model.vocabulary, config)
    plan = plan_of(*MEASURES)
    scored = score_alleles(model, windows, {0: allele}, 1, plan, 4096)
    other = contig[:2000] + allele.alternative + contig[2001:]
    one, two = (
        model.vectors.double()[tokenise(text, 2, "v1")[1:]].mean(0) for text in (contig, other)
    )
    expected = compute_distances(one[None], two[None])[0].tolist()
    assert scored.scores[0].tolist() == pytest.approx(expected, rel=1e-6)  # kept in float32


def test_the_llr_is_the_log_odds_of_the_base_given_the_others_of_its_token(make, encoder, contig):
    alleles = [snv(contig, 200, step) for step in (1, 2, 3)]
    found = make(alleles, plan_of("llr"))["llr"]
    left = 200 - BASES // 2
    ids = torch.tensor([tokenise(contig[left : left + BASES], K, "v1")])
    at = 1 + BASES // 2 // K
    place = BASES // 2 % K
    word = contig[200 - place : 200 - place + K]
    ids[0, at] = 2
    with torch.no_grad():
        logits = encoder(ids).logits[0, at].double()
    tokens = Vocabulary(K, "v1").tokens()
    words = [word[:place] + letter + word[place + 1 :] for letter in "ACGT"]
    odds = logits[[tokens.index(one) for one in words]].softmax(0)
    for allele, value in zip(alleles, found, strict=True):
        ratio = odds["ACGT".index(allele.alternative)] / odds["ACGT".index(allele.reference)]
        assert value == pytest.approx(float(ratio.log()), abs=1e-6)


def test_the_identity_of_the_worked_random_softmax():
    """p(base | its neighbours) needs no renormalisation: the common factor cancels."""
    shares = np.random.default_rng(3).dirichlet(np.ones(4096))
    tokens = Vocabulary(6, "v1").tokens()
    words = [f"ACG{letter}GT" for letter in "ACGT"]
    own = np.array([shares[tokens.index(word) - 4] for word in words])
    whole = np.log(own[0]) - np.log(own[3])
    given = np.log(own[0] / own.sum()) - np.log(own[3] / own.sum())
    assert abs(whole - given) < 1e-14


def test_to_swap_the_alleles_negates_the_llr_and_keeps_the_distances(
    make_files, encoder, make, contig
):
    allele = snv(contig, 300)
    other = contig[:300] + allele.alternative + contig[301:]
    back = Allele(contig="c", start=300, reference=allele.alternative, alternative=allele.reference)
    there = make([allele])
    swapped = make_files({"c": other}, k=K)
    model = EncoderModel(encoder, Vocabulary(K, "v1"), 2, "float32")
    scored = score_alleles(model, make_windows(swapped), {0: back}, 1, plan_of(), 4096)
    here = dict(zip(SCORE_NAMES, scored.scores[0], strict=True))
    for name in ("llr", "loss_difference"):
        assert here[name] == pytest.approx(-there[name][0], abs=1e-5)
    for name in (name for name in SCORE_NAMES if name.split("_")[0] in MEASURES):
        assert here[name] == pytest.approx(there[name][0], rel=1e-6)


@pytest.mark.parametrize("batch", [1, 50, 2048])
def test_scores_do_not_depend_on_the_batches(make, contig, batch):
    alleles = some_alleles(contig)
    whole, parts = make(alleles), make(alleles, batch=batch)
    for name in SCORE_NAMES:
        np.testing.assert_allclose(parts[name], whole[name], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("scores", "names", "passes"),
    [
        (("llr",), ["masked"], 1),
        (("cosine", "l2_flat"), ["reference", "alternative"], 4),
        (("loss_alt",), ["alternative"], 3),
        (("loss_difference", "masked_loss_alt"), ["reference", "alternative", "masked"], 5),
        (("cosine", "llr"), ["reference", "alternative", "masked"], 5),
    ],
)
def test_the_passes_follow_from_the_scores_and_alleles_of_a_position_share_them(
    files, make, contig, scores, names, passes
):
    plan, alleles = plan_of(*scores), [snv(contig, 200, step) for step in (1, 2, 3)]
    assert plan.passes() == names
    windows = collect_windows(make_windows(files), dict(enumerate(alleles)), plan)
    assert count_passes(windows, plan) == passes
    told = []
    encoder = load_model(files["run"], files["weights"])[0]
    model = EncoderModel(encoder, Vocabulary(K, "v1"), 2, "float32")
    score_alleles(model, make_windows(files), dict(enumerate(alleles)), 3, plan, 4096, told.append)
    assert sum(told) == passes


def test_neighbours_share_their_windows_pass_and_masks_where_that_is_asked_for(files, contig):
    alleles = dict(enumerate(snv(contig, at) for at in range(200, 208)))
    for shared, passes in ((1, 24), (8, 1 + 8 + 4)):  # 8 bases lie in 4 tokens of the window
        made = make_windows(files, shared_bases=shared)
        windows = collect_windows(made, alleles, plan_of("cosine", "llr"))
        assert count_passes(windows, plan_of("cosine", "llr")) == passes


def test_frames_that_are_one_window_at_the_end_of_a_contig_count_each(
    make_files, encoder, sequence
):
    short = sequence(12, 30)
    files = make_files({"c": short}, k=K)
    model = EncoderModel(encoder, Vocabulary(K, "v1"), 2, "float32")
    found = [
        score_alleles(
            model, make_windows(files, frames=frames), {0: snv(short, 15)}, 1, plan_of(), 4096
        ).scores
        for frames in (1, K)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_equal_alleles_of_several_records_are_read_once(files, make, contig):
    alleles = [snv(contig, 200)] * 3
    found = make(alleles)
    assert (found["llr"] == found["llr"][0]).all()
    windows = collect_windows(make_windows(files), dict(enumerate(alleles)), plan_of())
    assert count_passes(windows, plan_of()) == 3
