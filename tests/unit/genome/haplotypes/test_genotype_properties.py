"""Haplotypes of any small panel against `bcftools consensus`, allele for allele."""

from hypothesis import given
from hypothesis import strategies as st

SAMPLES = 2
SYMBOLS = ("*", "<DEL>", "<DUP>", "<INS:ME:ALU>", "<*>", "C[c:9[")
DNA = st.text("ACGT", min_size=1, max_size=4)


@st.composite
def genotypes(draw, alternatives):
    """Return a genotype: of one or two alleles, missing or not, phased or not."""
    allele = st.integers(0, alternatives).map(str) | st.just(".")
    return draw(st.sampled_from("|||/")).join(draw(st.lists(allele, min_size=1, max_size=2)))


@st.composite
def panels(draw):
    """Return a sequence and records on it that crowd, overlap and reach over its end."""
    sequence = draw(st.text("ACGT", min_size=12, max_size=40))
    records = []
    for position in sorted(draw(st.lists(st.integers(0, len(sequence) - 1), max_size=8))):
        reference = sequence[position : position + draw(st.integers(1, 4))]
        if position + len(reference) == len(sequence) and draw(st.booleans()):
            reference += draw(DNA)  # past the end
        kinds = st.one_of(
            DNA,
            DNA.map(lambda text, start=reference[0]: start + text),
            DNA.map(lambda text, ref=reference: ref + text),
            DNA.map(lambda text, ref=reference: text[0] + ref[1:]),
            st.just(reference[0]),
            st.sampled_from(SYMBOLS),
        )
        alternatives = draw(st.lists(kinds, min_size=1, max_size=3, unique=True))
        alternatives = [text for text in alternatives if text != reference]
        if alternatives:
            calls = [draw(genotypes(len(alternatives))) for _ in range(SAMPLES)]
            records.append((position + 1, reference, alternatives, calls))
    return sequence, records


def with_symbols(records):
    """Return the records as they are, as lines of a VCF."""
    return [
        (position, reference, ",".join(alternatives), ".", *calls)
        for position, reference, alternatives, calls in records
    ]


def with_letters(records):
    """Return the records without alleles that have no letters: who carries them has REF."""
    kept = []
    for position, reference, alternatives, calls in records:
        letters = [text for text in alternatives if text not in SYMBOLS]
        numbers = {".": ".", "0": "0"}
        for number, text in enumerate(alternatives, start=1):
            numbers[str(number)] = str(letters.index(text) + 1) if text in letters else "0"
        if letters:
            renumbered = ["".join(numbers.get(sign, sign) for sign in call) for call in calls]
            kept.append((position, reference, ",".join(letters), ".", *renumbered))
    return kept


@given(panels())
def test_haplotypes_are_those_of_bcftools(make_panel, bcftools, panel):
    sequence, records = panel
    # A first record without effect: a file needs one, and bcftools a sample that it knows.
    other = "G" if sequence[0] == "A" else "A"
    first = (1, sequence[0], other, ".", *["0|0"] * SAMPLES)
    made = make_panel(sequence, [first, *with_symbols(records)], largest_mismatch=1.0)
    truth = [first, *with_letters(records)]
    for sample in range(SAMPLES):
        for haplotype in (1, 2):
            expected = bcftools(sequence, truth, sample, haplotype)
            assert made.sequence(sample, haplotype) == expected
