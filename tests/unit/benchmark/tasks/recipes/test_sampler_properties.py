"""Windows drawn from any genome: inside a stored piece, without N, beside all that is avoided."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dnalm.benchmark.tasks.recipes.window_sampler import WindowSampler
from dnalm.genome.bases import GenomeBases, write_bases

COMPLEMENT = str.maketrans("ACGT", "TGCA")
# Bases and, in runs, N.
PIECES = st.lists(
    st.text("ACGT", min_size=1, max_size=60) | st.integers(1, 6).map(lambda n: n * "N"),
    min_size=1,
    max_size=4,
).map("".join)


@st.composite
def genomes(draw):
    """Return {contig: {absolute position: letter}} and the pieces that are stored as FASTA."""
    letters, text = {"c": {}, "d": {}}, ""
    for contig in letters:
        start = 0
        for _ in range(draw(st.integers(1, 2))):
            start += draw(st.integers(0, 20))
            piece = draw(PIECES)
            text += f">{contig}:{start + 1}-{start + len(piece)}\n{piece}\n"
            letters[contig] |= dict(enumerate(piece, start=start))
            start += len(piece) + 1  # pieces never touch: a base between them is not stored
    return letters, text


AVOIDED = st.lists(
    st.tuples(st.sampled_from("cde"), st.integers(0, 120), st.integers(1, 30)), max_size=4
)


def sample(text, avoided, gaps, draw):
    """Return the windows that `draw` gives of a sampler of a genome."""
    spans = [(contig, start, start + length) for contig, start, length in avoided]
    table = pd.DataFrame(spans, columns=["contig", "start", "end"]).astype(
        {"start": np.int64, "end": np.int64}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x.fa").write_text(text)
        paths = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
        paths = {key: folder / path for key, path in paths.items()}
        write_bases(folder / "x.fa", name="g", config={}, **paths)
        sampler = WindowSampler(GenomeBases.of(folder), ["c", "d"], table, gaps)
        return draw(sampler).sort_values(["contig", "start"]).to_dict("records")


def check(windows, length, letters, avoided, gaps):
    """Assert base by base that windows are stored and touch nothing that they may not."""
    taken = {
        (contig, base) for contig, start, size in avoided for base in range(start, start + size)
    }
    for window in windows:
        assert window["end"] - window["start"] == length
        assert window["strand"] in "+-"
        for base in range(window["start"], window["end"]):
            assert base in letters[window["contig"]], "it leaves its contig"
            assert gaps == "keep" or letters[window["contig"]][base] != "N"
            assert (window["contig"], base) not in taken, "avoided, or drawn twice"
            taken.add((window["contig"], base))


@given(genomes(), AVOIDED, st.integers(1, 25), st.integers(0, 8), st.integers(0), st.booleans())
def test_no_window_leaves_its_contig_or_touches_n_or_what_is_avoided(
    genome, avoided, length, wanted, seed, keep
):
    (letters, text), gaps = genome, "keep" if keep else "drop"
    random = np.random.default_rng(seed)
    windows = sample(
        text, avoided, gaps, lambda sampler: sampler.draw(["c", "d"], length, wanted, random)
    )
    assert len(windows) <= wanted
    check(windows, length, letters, avoided, gaps)


@given(st.integers(30, 200), st.integers(1, 12), st.integers(0))
def test_a_contig_without_obstacles_is_used_to_its_ends(bases, length, seed):
    random = np.random.default_rng(seed)
    text = f">c\n{'ACGT' * bases}\n>d\nA\n"
    windows = sample(text, [], "drop", lambda one: one.draw(["c"], length, 10**6, random))
    starts = [window["start"] for window in windows]
    phase = starts[0]
    assert phase < length
    assert starts == list(range(phase, 4 * bases - length + 1, length))


@given(genomes(), AVOIDED, st.integers(2, 13), st.integers(0, 8), st.integers(0))
def test_windows_on_dinucleotides_hold_one_in_the_middle_as_they_are_read(
    genome, avoided, half, wanted, seed
):
    (letters, text), length = genome, 2 * half
    random = np.random.default_rng(seed)
    windows = sample(
        text,
        avoided,
        "drop",
        lambda one: one.draw_on_dinucleotides(
            ["c", "d"], length, wanted, random, ["donor", "acceptor"]
        ),
    )
    assert len(windows) <= wanted
    check(windows, length, letters, avoided, "drop")
    for window in windows:
        own = letters[window["contig"]]
        read = "".join(own[base] for base in range(window["start"], window["end"]))
        read = read if window["strand"] == "+" else read.translate(COMPLEMENT)[::-1]
        assert read[half : half + 2] == "GT" or read[half - 2 : half] == "AG"
