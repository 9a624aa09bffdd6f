"""Our tokens against those of `transformers.EsmTokenizer`, as the trainer makes them.

    python tests/bench/tokens.py --output results/bench/tokens.json

Bases per second of processor time. Ours starts from the bases' codes, as they lie on disk, the
peer from text, as it is used; each starts from what it would be given. The vocabulary file of the
peer is written from ours, and every token of the timed windows is compared.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
from comparison import Comparison, report, time_in_turns
from transformers import EsmTokenizer

from dnalm.genome.kmers import Vocabulary, encode_windows, to_codes, to_sequence

BASES, WINDOWS, TOKENS = 5994, 16, 1000  # the longest v1 input without N, and a batch of it
ROUNDS = 5
CALLS = 50  # of ours in each round, which alone are too short for the clock
LIMIT = 20.0


def make_peer(vocabulary: Vocabulary) -> EsmTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(vocabulary.tokens()))
        return EsmTokenizer(str(path), eos_token=None)


def make_windows(n_rows: int) -> np.ndarray:
    """Return random windows, uint8[WINDOWS, BASES]; the last `n_rows` hold three runs of N each."""
    random = np.random.default_rng(0)
    windows = random.integers(0, 4, (WINDOWS, BASES), dtype=np.uint8)
    for row in range(WINDOWS - n_rows, WINDOWS):
        for start in random.integers(0, BASES, 3):
            windows[row, start : start + 100] = to_codes("N")
    return windows


def compare(case: str, version: str, n_rows: int) -> Comparison:
    vocabulary, windows = Vocabulary(6, version), make_windows(n_rows)
    peer = make_peer(vocabulary)
    texts = [to_sequence(window) for window in windows]

    def run_ours() -> np.ndarray:
        for _ in range(CALLS):
            tokens = encode_windows(windows, vocabulary, TOKENS)
        return tokens

    def run_peer() -> list[list[int]]:
        return peer(texts)["input_ids"]

    ours, theirs = time_in_turns(run_ours, run_peer, ROUNDS)
    correct = run_ours().tolist() == [ids[:TOKENS] for ids in run_peer()]
    return Comparison(
        case=case,
        ours=CALLS * windows.size / ours,
        peer=windows.size / theirs,
        unit="bases per CPU second",
        correct=correct,
        limit=LIMIT,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    logging.getLogger("transformers").setLevel(logging.ERROR)
    rows = [
        compare("v1, no N", "v1", 0),
        compare("v2, no N", "v2", 0),
        compare("v1, N in a quarter of the windows", "v1", WINDOWS // 4),
        compare("v1, N in all windows", "v1", WINDOWS),
    ]
    return report(rows, output)


if __name__ == "__main__":
    sys.exit(main())
