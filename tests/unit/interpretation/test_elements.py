"""Elements of annotations against a base-by-base definition, and masks of tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnalm.errors import InputError
from dnalm.genome.annotation import Transcript
from dnalm.genome.intervals import merge_spans
from dnalm.genome.kmers import Vocabulary, bases_per_token, encode, to_codes
from dnalm.interpretation.elements import (
    OF_TRANSCRIPTS,
    elements_of_transcripts,
    mask_bases,
    mask_tokens,
    read_elements,
    subtract,
)

LENGTH = 60


def spans_of(bases):
    """Return the spans of a bool array, by a loop."""
    spans, start = [], None
    for place, inside in enumerate([*bases, False]):
        if inside and start is None:
            start = place
        elif not inside and start is not None:
            spans.append((start, place))
            start = None
    return spans


def bases_of(spans):
    bases = np.zeros(LENGTH, dtype=bool)
    for start, end in zip(*spans, strict=True):
        bases[start:end] = True
    return bases


intervals = st.lists(
    st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH))
    .map(sorted)
    .filter(lambda p: p[0] < p[1]),
    max_size=8,
)


def merged(pairs):
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return merge_spans(array[:, 0], array[:, 1])


@given(intervals, intervals)
def test_a_difference_of_spans_is_that_of_their_bases(first, second):
    spans, others = merged(first), merged(second)
    found = subtract(spans, others)
    expected = spans_of(bases_of(spans) & ~bases_of(others))
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == expected


def transcript(strand, exons, coding=(), name="t"):
    return Transcript(
        contig="c",
        strand=strand,
        gene="g",
        name=name,
        level=None,
        exons=tuple(exons),
        coding=tuple(coding),
    )


@pytest.mark.parametrize(
    ("strand", "five", "three"),
    [("+", [(5, 12)], [(38, 40)]), ("-", [(38, 40)], [(5, 12)])],
)
def test_untranslated_ends_follow_the_strand(strand, five, three):
    one = transcript(strand, [(5, 15), (20, 26), (30, 40)], [(12, 15), (20, 26), (30, 38)])
    elements = elements_of_transcripts([one], {"c": (0, LENGTH)})
    found = {name: spans_of(bases_of(own["c"])) for name, own in elements.items()}
    assert found == {
        "exon": [(5, 15), (20, 26), (30, 40)],
        "CDS": [(12, 15), (20, 26), (30, 38)],
        "five_prime_UTR": five,
        "three_prime_UTR": three,
        "intron": [(15, 20), (26, 30)],
        "intergenic": [(0, 5), (40, LENGTH)],
    }


def test_what_one_transcript_codes_is_no_utr_of_another_nor_an_intron():
    coding = transcript("+", [(10, 30)], [(12, 28)], "a")
    other = transcript("+", [(5, 14), (40, 50)], [(42, 48)], "b")
    elements = elements_of_transcripts([coding, other], {"c": (0, LENGTH)})
    assert spans_of(bases_of(elements["five_prime_UTR"]["c"])) == [(5, 12), (40, 42)]
    assert spans_of(bases_of(elements["intron"]["c"])) == [(30, 40)]


def test_every_base_is_of_an_exon_an_intron_or_of_no_transcript():
    random = np.random.default_rng(0)
    transcripts = []
    for i in range(6):
        edges = np.sort(random.choice(np.arange(1, LENGTH), 4, replace=False)).tolist()
        exons = [tuple(edges[:2]), tuple(edges[2:])]
        transcripts.append(transcript("+-"[i % 2], exons, name=f"t{i}"))
    elements = elements_of_transcripts(transcripts, {"c": (0, LENGTH)})
    parts = [
        bases_of(elements[name]["c"])
        for name in ("exon", "intron", "intergenic")
        if "c" in elements[name]
    ]
    assert (np.sum(parts, axis=0) == 1).all()


@given(intervals, st.integers(0, LENGTH), st.integers(1, LENGTH))
def test_the_mask_of_a_window_is_a_piece_of_the_contig_s(pairs, start, length):
    spans, end = merged(pairs), min(start + length, LENGTH)
    np.testing.assert_array_equal(mask_bases(spans, start, end), bases_of(spans)[start:end])


def test_tokens_are_of_an_element_by_half_of_their_bases_also_behind_an_n():
    codes = to_codes("ACGTAC" + "N" + "ACGTACGT")
    vocabulary = Vocabulary(6, "v1")
    bases = bases_per_token(encode(codes, vocabulary), vocabulary)
    assert bases.tolist() == [0, 6, 1, 6, 1, 1]
    mask = np.zeros(15, dtype=bool)
    mask[3:6] = True  # half of the first token
    mask[7:9] = True  # two bases of the next 6-mer
    mask[14] = True
    assert mask_tokens(mask, bases).tolist() == [False, True, False, False, False, True]
    assert not mask_tokens(np.zeros(15, dtype=bool), bases).any()
    assert mask_tokens(np.ones(15, dtype=bool), bases).tolist() == [False, *[True] * 5]


def test_elements_of_files_are_cut_to_the_contigs_of_the_genome(tmp_path):
    lines = [(name, "x", "exon", 6, 15, ".", "+", ".", f'transcript_id "{name}";') for name in "cd"]
    text = "\n".join("\t".join(map(str, line)) for line in lines)
    (tmp_path / "a.gtf").write_text(f"{text}\n")
    (tmp_path / "b.bed").write_text("c\t2\t4\nc\t3\t9\nc\t55\t99\n")
    elements = read_elements(
        tmp_path / "a.gtf", {"enhancer": tmp_path / "b.bed"}, {"c": (0, LENGTH)}
    )
    assert set(elements) == {*OF_TRANSCRIPTS, "enhancer"}
    assert spans_of(bases_of(elements["enhancer"]["c"])) == [(2, 9), (55, 60)]
    assert elements["CDS"] == {}
    with pytest.raises(InputError, match="none of its contigs"):
        read_elements(tmp_path / "a.gtf", {}, {"chr1": (0, 10)})
    with pytest.raises(InputError, match="choose another name"):
        read_elements(tmp_path / "a.gtf", {"exon": tmp_path / "b.bed"}, {"c": (0, LENGTH)})


def test_what_reaches_over_the_end_of_a_whole_contig_is_cut_and_told(tmp_path, caplog):
    bed = tmp_path / "x.bed"
    bed.write_text("c\t10\t20\nc\t90\t120\nc\t900\t950\nd\t5\t9\n")
    found = read_elements(None, {"x": bed}, {"c": (0, 100)})["x"]["c"]
    assert [own.tolist() for own in found] == [[10, 90], [20, 100]]
    assert (
        "x.bed: 2 intervals reach over the end of their contig and are cut, the first to c:120"
        in (caplog.text)
    )
    caplog.clear()
    read_elements(None, {"x": bed}, {"c": (5, 100)})  # a stored piece
    assert not caplog.text


@pytest.mark.parametrize("line", ["c\t1\t9\t-", "c\t1\t9\tx\t0\t*", "c\t1\t9\tx\t0\tC"])
def test_strands_of_elements_are_not_asked_for(tmp_path, line):
    """As those of RepeatMasker, which writes C: an element is that of both strands."""
    path = tmp_path / "x.bed"
    path.write_text(line + "\n")
    found = read_elements(None, {"repeat": path}, {"c": (0, 50)})
    assert [spans.tolist() for spans in found["repeat"]["c"]] == [[1], [9]]
