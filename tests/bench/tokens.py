"""Bases to tokens, and FASTA to stored bases, beside what other people use.

    python tests/bench/tokens.py --output results/bench/tokens.json

All numbers are bases per second of processor time, of all threads.

In memory, both sides start from text; one case says what ours reaches from the bases' codes, as
they lie on disk and as training reads them. The peers are `transformers.EsmTokenizer`, the
published tokenizer, and the fastest pipeline of the Rust library `tokenizers` that yields the same
ids. Their vocabulary is written from ours, and every token of the timed windows is compared. Two
more are as those who know numpy and numba would write it for windows without N.

From .fa.gz, ours is `write_bases` with its checksum and all files; the peer only decompresses the
same file, by isal, and throws the bytes away. What is stored is compared with the letters that the
standard library's gzip reads. With DNALM_DATA set, the yeast genome there is a case too.
"""

import gzip
import hashlib
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pysam
from comparison import Comparison, read_arguments, report, time_in_turns
from isal import igzip
from numba import njit
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import EsmTokenizer

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.kmers import Vocabulary, encode_windows, to_codes, to_sequence

K = 6
BASES, WINDOWS, TOKENS = 5994, 16, 1000  # the longest v1 input without N, and a batch of it
ROUNDS = 5
CALLS = 50  # of ours in each round, which alone are too short for the clock
ESM_LIMIT, RUST_LIMIT = 300.0, 50.0
N_LIMIT, RUST_N_LIMIT = 20.0, 1.0  # windows with N take a slower path; few of a corpus have any

CONTIGS, CONTIG_BASES = 5, 16_000_000
REPEATS, REPEAT_BASES = 50, 6_000  # a third of the bases are copies, as of transposons
LINE = 60
STORE_LIMIT = 0.5
TINY = {"WINDOWS": 4, "ROUNDS": 1, "CALLS": 1, "CONTIGS": 2, "CONTIG_BASES": 200_000}
YEAST = "multispecies/saccharomyces_cerevisiae_s288c_r64.fa.gz"


def make_tokenizer(vocabulary: Vocabulary) -> EsmTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(vocabulary.tokens()))
        return EsmTokenizer(str(path), eos_token=None)


def make_esm(vocabulary: Vocabulary) -> Callable[[list[str]], list[list[int]]]:
    tokenizer = make_tokenizer(vocabulary)
    return lambda texts: tokenizer(texts)["input_ids"]


def make_rust(vocabulary: Vocabulary) -> Callable[[list[str]], list[list[int]]]:
    """Return the faster of two pipelines, which one is measured.

    One splits by a regular expression into words of the vocabulary; the other cuts at N and then
    every k letters, and WordPiece breaks what is shorter than k into its letters.
    """
    ids = {token: number for number, token in enumerate(vocabulary.tokens())}
    by_pattern = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    pattern = Regex(f"[ACGT]{{{vocabulary.k}}}|.")
    by_pattern.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    by_length = Tokenizer(models.WordPiece(ids, unk_token="<unk>", continuing_subword_prefix=""))
    by_length.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("N", "isolated"), pre_tokenizers.FixedLength(vocabulary.k)]
    )
    seconds = []
    texts = [to_sequence(window) for window in make_windows(0)]
    pipelines = (by_pattern, by_length)
    for tokenizer in pipelines:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<cls> $A", special_tokens=[("<cls>", vocabulary.cls)]
        )
        tokenizer.encode_batch_fast(texts)
        start = time.process_time()
        tokenizer.encode_batch_fast(texts)
        seconds.append(time.process_time() - start)
    fastest = pipelines[int(np.argmin(seconds))]
    return lambda texts: [encoding.ids for encoding in fastest.encode_batch_fast(texts)]


def make_windows(n_rows: int) -> np.ndarray:
    """Return random windows, uint8[WINDOWS, BASES]; the last `n_rows` hold three runs of N each."""
    random = np.random.default_rng(0)
    windows = random.integers(0, 4, (WINDOWS, BASES), dtype=np.uint8)
    for row in range(WINDOWS - n_rows, WINDOWS):
        for start in random.integers(0, BASES, 3):
            windows[row, start : start + 100] = to_codes("N")
    return windows


def make_numpy(vocabulary: Vocabulary) -> Callable[[list[str]], np.ndarray]:
    """Return a table look-up of letters and a sum over powers of 4, for windows without N."""
    powers = 4 ** np.arange(vocabulary.k - 1, -1, -1, dtype=np.uint16)
    codes = np.zeros(256, dtype=np.uint16)
    codes[np.frombuffer(b"ATCG", dtype=np.uint8)] = range(4)

    def tokenize(texts: list[str]) -> np.ndarray:
        letters = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
        words = codes[letters].reshape(len(texts), -1, vocabulary.k)
        ids = (words * powers).sum(axis=2, dtype=np.uint16) + np.uint16(vocabulary.kmer_offset)
        return np.pad(ids, ((0, 0), (1, 0)), constant_values=vocabulary.cls)

    return tokenize


def make_numba(vocabulary: Vocabulary) -> Callable[[np.ndarray], np.ndarray]:
    """Return a compiled loop over letters uint8[B, bases], for windows without N.

    Bits 1 and 2 of the letters A, T, C and G, the other way round, are the numbers 0 to 3: no
    table, so the loop becomes vector instructions.
    """
    k, offset, first = vocabulary.k, vocabulary.kmer_offset, vocabulary.cls

    @njit
    def fill(letters: np.ndarray, result: np.ndarray) -> None:
        for row in range(len(result)):
            result[row, 0] = first
            for word in range(result.shape[1] - 1):
                value = np.uint16(0)
                for place in range(k):
                    letter = np.uint16(letters[row, word * k + place])
                    code = (letter & np.uint16(2)) | ((letter >> np.uint16(2)) & np.uint16(1))
                    value = np.uint16((value << np.uint16(2)) | code)
                result[row, word + 1] = np.uint16(value + np.uint16(offset))

    def tokenize(letters: np.ndarray) -> np.ndarray:
        result = np.empty((len(letters), 1 + letters.shape[1] // k), dtype=np.uint16)
        fill(letters, result)
        return result

    return tokenize


def make_numba_from_text(vocabulary: Vocabulary) -> Callable[[list[str]], np.ndarray]:
    tokenize = make_numba(vocabulary)
    return lambda texts: tokenize(
        np.frombuffer("".join(texts).encode(), dtype=np.uint8).reshape(len(texts), -1)
    )


def compare_tokens(
    case: str,
    version: str,
    n_rows: int,
    make_peer: Callable,
    limit: float,
    *,
    calls: int = 1,
    stored: bool = False,
) -> Comparison:
    """Return both sides from text to tokens; with `stored` ours starts from codes.

    `calls` of the peer a round, where one alone is too short for the clock.
    """
    vocabulary, windows = Vocabulary(K, version), make_windows(n_rows)
    peer, texts = make_peer(vocabulary), [to_sequence(window) for window in windows]

    def run_ours() -> np.ndarray:
        for _ in range(CALLS):
            codes = windows if stored else to_codes("".join(texts)).reshape(windows.shape)
            tokens = encode_windows(codes, vocabulary, TOKENS)
        return tokens

    def run_peer() -> Sequence[Sequence[int]]:
        for _ in range(calls):
            found = peer(texts)
        return found

    ours, theirs = time_in_turns(run_ours, run_peer, ROUNDS)
    rows = zip(run_ours().tolist(), run_peer(), strict=True)
    return Comparison(
        case=case,
        ours=CALLS * windows.size / ours,
        peer=calls * windows.size / theirs,
        unit="bases per CPU second",
        correct=all(own == list(ids[:TOKENS]) for own, ids in rows),
        limit=limit,
    )


def write_fasta(path: Path) -> None:
    """Write contigs with diverged repeats, soft-masked stretches and runs of N."""
    random = np.random.default_rng(0)
    repeats = random.choice(np.frombuffer(b"ACGT", np.uint8), (REPEATS, REPEAT_BASES))
    with open(path, "wb") as file:
        for contig in range(CONTIGS):
            letters = random.choice(np.frombuffer(b"ACGT", np.uint8), CONTIG_BASES)
            for start in random.integers(0, CONTIG_BASES, CONTIG_BASES // (3 * REPEAT_BASES)):
                copy = repeats[random.integers(REPEATS), : CONTIG_BASES - start].copy()
                changed = random.random(len(copy)) < 0.1
                copy[changed] = random.choice(np.frombuffer(b"acgt", np.uint8), changed.sum())
                letters[start : start + len(copy)] = copy | np.uint8(ord("a") - ord("A"))
            for start in random.integers(0, CONTIG_BASES, 16):
                letters[start : start + random.integers(10, 50_000)] = ord("N")
            lines = letters[: CONTIG_BASES // LINE * LINE].reshape(-1, LINE)
            rest = letters[lines.size :].tobytes()
            ends = np.full((len(lines), 1), ord("\n"), dtype=np.uint8)
            file.write(b">chr%d simulated\n" % (contig + 1))
            file.write(np.hstack([lines, ends]).tobytes() + rest + b"\n")


def compare_store(case: str, source: Path, folder: Path, config: dict[str, str]) -> Comparison:
    places = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}

    def run_ours() -> None:
        paths = {key: store / name for key, name in places.items()}
        write_bases(source, name="bench", config=config, **paths)

    def run_peer() -> None:
        with igzip.open(source) as file:
            while file.read(1 << 18):
                pass

    seconds: dict[Callable, list[float]] = {run_ours: [], run_peer: []}
    for _ in range(ROUNDS):
        for side, values in seconds.items():
            # A new folder each time: to remove the files of the round before is no part of it.
            store = folder / "store"
            shutil.rmtree(store, ignore_errors=True)
            start = time.process_time()
            side()
            values.append(time.process_time() - start)
            if side is run_ours:
                correct, bases = check_store(source, store)
    return Comparison(
        case=case,
        ours=bases / statistics.median(seconds[run_ours]),
        peer=bases / statistics.median(seconds[run_peer]),
        unit="bases per CPU second",
        correct=correct,
        limit=STORE_LIMIT,
    )


def check_store(source: Path, folder: Path) -> tuple[bool, int]:
    """Return whether a store holds the letters of a FASTA file, and how many they are."""
    genome = GenomeBases.of(folder)
    with gzip.open(source) as file:
        records = file.read().split(b">")[1:]
    pairs = zip(genome.contigs.itertuples(), records, strict=True)
    same = True
    for row, record in pairs:
        header, _, text = record.partition(b"\n")
        same &= header.split()[0].decode() == row.contig
        same &= np.array_equal(
            genome.read(row.contig, 0, row.length), to_codes(text.replace(b"\n", b""))
        )
    genome.close()
    return bool(same), genome.bases


def compare_stores(folder: Path) -> list[Comparison]:
    plain, zipped, blocks = (folder / name for name in ("x.fa", "x.fa.gz", "x.bgz.fa.gz"))
    write_fasta(plain)
    with open(plain, "rb") as file, gzip.open(zipped, "wb", compresslevel=6) as target:
        shutil.copyfileobj(file, target)
    pysam.tabix_compress(str(plain), str(blocks))
    md5 = hashlib.md5(zipped.read_bytes()).hexdigest()
    rows = [
        compare_store(".fa.gz to stored bases", zipped, folder, {}),
        compare_store(".fa.gz to stored bases, md5 to check as well", zipped, folder, {"md5": md5}),
        compare_store("bgzip .fa.gz to stored bases", blocks, folder, {}),
    ]
    if data := os.getenv("DNALM_DATA"):
        yeast = Path(data) / YEAST
        rows.append(compare_store("yeast .fa.gz to stored bases", yeast, folder, {}))
    return rows


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    # More threads would only take more processor time for the same.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    some, every = "v1, N in a quarter of the windows", "v1, N in all windows"
    rows = [
        compare_tokens("v1, no N; EsmTokenizer", "v1", 0, make_esm, ESM_LIMIT),
        compare_tokens("v2, no N; EsmTokenizer", "v2", 0, make_esm, ESM_LIMIT),
        compare_tokens(f"{some}; EsmTokenizer", "v1", WINDOWS // 4, make_esm, N_LIMIT),
        compare_tokens(f"{every}; EsmTokenizer", "v1", WINDOWS, make_esm, N_LIMIT),
        compare_tokens("v1, no N; tokenizers (Rust)", "v1", 0, make_rust, RUST_LIMIT),
        compare_tokens(f"{some}; tokenizers (Rust)", "v1", WINDOWS // 4, make_rust, RUST_N_LIMIT),
        compare_tokens(
            *("v1, no N, ours from stored codes; tokenizers (Rust)", "v1", 0, make_rust),
            RUST_LIMIT,
            stored=True,
        ),
        compare_tokens("v1, no N; numpy", "v1", 0, make_numpy, 1.0, calls=CALLS),
        compare_tokens("v1, no N; a numba loop", "v1", 0, make_numba_from_text, 1.0, calls=CALLS),
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows += compare_stores(Path(folder))
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
