"""Windows are those of the paper's formulas and cover what they claim."""

import numpy as np
import pytest

from dnalm.corpus.windows import WindowIndex, WindowRule, tokens_per_window
from dnalm.errors import InputError

PAPER = WindowRule(length=6100, stride=6050, start_max=100)
HF = WindowRule(length=6200, stride=6000, start_max=200)
HF_12KB = WindowRule(length=12200, stride=12000, start_max=200)


@pytest.mark.parametrize("rule", [PAPER, HF, HF_12KB, WindowRule(length=7, stride=9, start_max=0)])
def test_windows_are_counted_as_by_laying_them_one_by_one(rule):
    for length in [*range(30), *range(5900, 6300, 7), 12199, 12200, 24199, 24200, 100_003]:
        starts = [s for s in range(0, length, rule.stride) if s + rule.length <= length]
        assert rule.count(length) == len(starts)
        end = starts[-1] + rule.length if starts else 0
        assert rule.dropped_tail(length) == length - end


@pytest.mark.parametrize("length", [6099, 6100, 50_818_468, 46_709_983, 248_956_422])
def test_window_counts_are_the_papers_formulas(length):
    assert PAPER.count(length) == (length - 50) // 6050
    if length >= 6200:
        assert HF.count(length) == (length - 200) // 6000


def test_tokens_per_window_are_the_papers():
    assert tokens_per_window(PAPER, 6, 1000) == 1000
    assert tokens_per_window(HF, 6, 1000) == 1000
    assert tokens_per_window(WindowRule(length=12100, stride=12050, start_max=100), 6, 2048) == 2001
    assert tokens_per_window(HF_12KB, 6, 2048) == 2001


def test_the_index_finds_what_a_list_of_all_windows_holds():
    rule = WindowRule(length=50, stride=30, start_max=5)
    lengths = [120, 10, 0, 50, 49, 1000]
    listed = [
        (contig, start)
        for contig, length in enumerate(lengths)
        for start in range(0, length, rule.stride)
        if start + rule.length <= length
    ]
    index = WindowIndex(lengths, rule)
    assert index.windows == len(listed)
    contigs, starts = index.locate(np.arange(index.windows))
    assert list(zip(contigs.tolist(), starts.tolist(), strict=True)) == listed


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0, 1, 0), r"windows\.length is 0; give at least 1"),
        ((10, 0, 0), r"windows\.stride is 0; give at least 1"),
        ((10, 5, 10), r"windows\.start_max is 10, but windows\.length is 10; .* 0 to 9"),
        ((10, 5, 100), r"windows\.start_max is 100, but windows\.length is 10"),
        ((10, 5, -1), r"windows\.start_max is -1"),
    ],
)
def test_impossible_windows_are_refused_by_their_keys(numbers, sentence):
    with pytest.raises(InputError, match=sentence):
        WindowRule(**dict(zip(("length", "stride", "start_max"), numbers, strict=True)))


def test_windows_without_a_kmer_are_refused():
    with pytest.raises(InputError, match=r"windows\.length 10 with windows\.start_max 5.*no k-mer"):
        tokens_per_window(WindowRule(length=10, stride=10, start_max=5), 6, 1000)
