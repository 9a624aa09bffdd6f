"""Predictions of all rows of a file, block by block: means over folds, and their spread.

Shapes: R rows of a block, P pieces, F folds, C classes (multilabel: labels, regression: targets).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from dnalm.benchmark.prediction.classifiers import Classifier
from dnalm.benchmark.prediction.folds import Facts
from dnalm.benchmark.prediction.pieces import Pieces, Rules
from dnalm.benchmark.prediction.scan import Scan, read_pieces, scan
from dnalm.benchmark.prediction.sources import REVERSE, Source
from dnalm.benchmark.prediction.tables import Predictions, make_schema, make_table, open_tables
from dnalm.benchmark.prediction.tracks import Tracks
from dnalm.benchmark.tasks.kinds import BASES
from dnalm.errors import InputError
from dnalm.genome.kmers import other_strand
from dnalm.jobs.pace import measure_pace
from dnalm.jobs.progress import Progress, duration
from dnalm.model.token_batches import Limits, limit_tokens
from dnalm.suggestions import check_choice

FORWARD, BOTH = "forward", "both"
ALL_FOLDS = "all"
MAX_NUMBERS = 1 << 24  # of outputs of a block in memory, 128 MiB
MAX_BLOCK_BASES = 1 << 22  # of a block's pieces, were all as long as the longest
TIMED_SHARE = 1 / 8  # of all tokens, or a batch: the most that the time of all is foretold by
MANY_BYTES = 4 << 30  # of the outputs of one row, which are in memory together

Tick = Callable[[int], None]  # is told of so many more outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """How rows are predicted, part of the section `prediction`.

    `strands` both: the mean of the outputs for a sequence and its reverse complement; `folds` is
    `all` or a list of some; `batch_tokens` is the most of a batch, `block_rows` of a block.
    """

    rules: Rules
    strands: str
    folds: str | Sequence[int]
    batch_tokens: int
    block_rows: int

    def __post_init__(self) -> None:
        check_choice("prediction.strands", self.strands, (FORWARD, BOTH))


def predict_source(
    classifier: Classifier,
    source: Source,
    outputs: Sequence[str | Path],
    config: PredictionConfig,
    names: Mapping[str, str],
    tracks: Tracks | None = None,
) -> Scan:
    """Write the predictions of all rows of `source`, in their order, to TSV or Parquet files.

    A block of rows is in memory at a time. All rows are read once before, so that one which cannot
    be predicted is named before the work. `names` go into the metadata of Parquet files; `tracks`,
    of per-base tasks and intervals of a genome, are given the means of all bases. Raises InputError
    for what `scan` and `open_tables` refuse, and a fold that the classifier does not have.
    """
    facts, folds = classifier.facts, choose_folds(classifier, config.folds)
    both = config.strands == BOTH and not classifier.both_strands
    limits = classifier.limits(both)
    found = scan(source, config.rules, limits)
    _report(found, source, classifier)
    _warn_of_many(found, source, classifier.facts, len(folds))
    schema = make_schema(facts, source.columns, names)
    work = _Work(classifier=classifier, folds=folds, both=both, config=config)
    with (
        open_tables(outputs, facts, schema) as write,
        Progress("predict", "rows", found.rows) as progress,
    ):
        for number, block in enumerate(_blocks(work, source, limits)):
            if number == 0:
                _tell_time(work, block, found, limits)
            predicted = work.predict(block, progress)
            write(make_table(block, predicted, facts, len(folds), schema))
            if tracks is not None:
                _add_to(tracks, block, predicted)
    return found


def choose_folds(classifier: Classifier, asked: str | Sequence[int]) -> list[int]:
    """Return the folds that are asked for, `all` or some; InputError for one that is not there."""
    if asked == ALL_FOLDS:
        return list(classifier.folds)
    missing = [fold for fold in asked if fold not in classifier.folds]
    if missing or not asked:
        raise InputError(
            f"prediction.folds is {list(asked)}, but {classifier.facts.path} holds the folds "
            f"{', '.join(map(str, classifier.folds))}: choose some of these."
        )
    return list(asked)


def _report(found: Scan, source: Source, classifier: Classifier) -> None:
    log.info("%s: %d rows, %d tokens", source.path, found.rows, found.tokens)
    if found.left_out:
        log.warning(
            "%s: %d of %d rows are left out, the column `note` says why",
            *(source.path, found.left_out, found.rows),
        )
    if found.noted:
        log.warning(
            "%s: %d rows are cropped, cut in tiles or read with N for other letters, see `note`",
            *(source.path, found.noted),
        )
    if found.uracil:
        log.warning("%s: %d letters U are read as T, as of RNA", source.path, found.uracil)
    lengths = classifier.facts.lengths
    usual = not lengths or lengths[0] <= found.shortest <= found.longest <= lengths[1]
    if found.longest and not usual:
        log.warning(
            "%s: its rows have %d to %d bases; those of the task %s, of which %s is, have %d to %d",
            *(source.path, found.shortest, found.longest, classifier.facts.task),
            *(classifier.facts.path, *lengths),
        )


def _warn_of_many(found: Scan, source: Source, facts: Facts, folds: int) -> None:
    # Of each base the sums and the means of every fold, and mean and deviation of all folds.
    size = found.longest * facts.classes * 8 * 2 * (folds + 1)
    if facts.kind.shape == BASES and size > MANY_BYTES:
        log.warning(
            "%s: its longest row has %s bases, whose outputs take about %.0f GB of memory: cut it"
            " into several, which the tracks of a genome join again",
            *(source.path, f"{found.longest:,}", size / 1e9),
        )


def _blocks(work: "_Work", source: Source, limits: Limits) -> Iterator[list[Pieces]]:
    """Yield the rows in blocks that fit into memory, one row at least."""
    numbers = len(work.folds) * work.classifier.classes
    of_bases = work.classifier.facts.kind.shape == BASES
    block: list[Pieces] = []
    longest = bases = 0
    for pieces in read_pieces(source, work.config.rules, limits):
        longest = max(longest, pieces.size)
        bases += pieces.bases
        size = len(block) + 1
        full = (
            size > work.config.block_rows
            or size * longest > MAX_BLOCK_BASES
            or numbers * (bases if of_bases else size) > MAX_NUMBERS
        )
        if block and full:
            yield block
            block, longest, bases = [], pieces.size, pieces.bases
        block.append(pieces)
    yield block


def _tell_time(work: "_Work", block: Sequence[Pieces], found: Scan, limits: Limits) -> None:
    """Log how long the prediction will take, from the time of some batches."""
    batch = limit_tokens(work.config.batch_tokens, work.classifier.device)
    first, texts = 0, []
    tokens = 0
    for text in islice((text for pieces in block for text in pieces.texts), work.chunk_of(block)):
        if tokens >= max(batch, TIMED_SHARE * found.tokens):
            break
        first += tokens < batch
        texts.append(text)
        tokens += limits.count_tokens(text)

    def predict(count: int) -> int:
        work.warm_up(texts[:count])
        return sum(map(limits.count_tokens, texts[:count]))

    if texts:
        seconds = measure_pace(predict, first, len(texts)) * found.tokens
        log.info("about %s for %d rows", duration(seconds), found.rows)


@dataclass(frozen=True, kw_only=True)
class _Work:
    classifier: Classifier
    folds: Sequence[int]
    both: bool
    config: PredictionConfig

    def warm_up(self, texts: Sequence[str]) -> None:
        """Predict some sequences, for nothing but the time that it takes."""
        for _ in self._outputs(texts, list(texts)):
            pass

    def predict(self, block: Sequence[Pieces], progress: Progress) -> Predictions:
        """Return the predictions of a block's rows, in their order; `progress` counts them."""
        with _counted(progress, len(block), self._count_outputs(block)) as tick:
            if self.classifier.facts.kind.shape == BASES:
                return self._predict_bases(block, tick)
            return self._predict_rows(block, tick)

    def _count_outputs(self, block: Sequence[Pieces]) -> int:
        pieces = sum(len(own.texts) for own in block)
        return pieces * len(self.folds) * (1 + self.both)

    def _predict_rows(self, block: Sequence[Pieces], tick: Tick) -> Predictions:
        sums = np.zeros((len(self.folds), len(block), self.classifier.classes))
        counts = np.zeros(len(block))
        for rows, _, texts in self._chunks(block):
            for fold, _, outputs in self._outputs(texts, [block[row].row.id for row in rows]):
                np.add.at(sums[fold], rows, outputs)
                tick(len(texts))
            np.add.at(counts, rows, 1 + self.both)
        return _over_folds(sums, counts)

    def _predict_bases(self, block: Sequence[Pieces], tick: Tick) -> Predictions:
        lengths = np.array([pieces.bases if pieces.texts else 0 for pieces in block])
        ends = lengths.cumsum()
        sums = np.zeros((len(self.folds), ends[-1], self.classifier.classes))
        counts = np.zeros(ends[-1])
        for rows, starts, texts in self._chunks(block):
            firsts = (ends - lengths)[rows] + starts
            for fold, reverse, outputs in self._outputs(texts, [block[r].row.id for r in rows]):
                for first, text, own in zip(firsts, texts, outputs, strict=True):
                    known = own[: len(text)]
                    sums[fold, first : first + len(text)] += known[::-1] if reverse else known
                tick(len(texts))
            for first, text in zip(firsts, texts, strict=True):
                counts[first : first + len(text)] += 1 + self.both
        found = _over_folds(sums, counts)
        return Predictions(mean=np.split(found.mean, ends[:-1]), sd=np.split(found.sd, ends[:-1]))

    def _chunks(
        self, block: Sequence[Pieces]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, list[str]]]:
        """Yield row, start and letters of pieces, few enough: a long row has many tiles."""
        flat = (
            (row, start, text)
            for row, pieces in enumerate(block)
            for start, text in zip(pieces.starts, pieces.texts, strict=True)
        )
        size = self.chunk_of(block)
        while chunk := list(islice(flat, size)):
            rows, starts, texts = zip(*chunk, strict=True)
            yield np.array(rows), np.array(starts), list(texts)

    def chunk_of(self, block: Sequence[Pieces]) -> int:
        """Return how many pieces of a block are predicted together."""
        longest = max(1, *(pieces.size for pieces in block))
        per_base = self.classifier.facts.kind.shape == BASES
        budget = MAX_NUMBERS // self.classifier.classes if per_base else MAX_BLOCK_BASES
        return max(1, min(self.config.block_rows, budget // longest))

    def _outputs(
        self, texts: Sequence[str], names: Sequence[str]
    ) -> Iterator[tuple[int, bool, np.ndarray]]:
        """Yield (number of the fold, whether the strand is the other one, outputs)."""
        strands: list[tuple[bool, Iterable[str]]] = [(False, texts)]
        if self.both:
            strands.append((True, map(other_strand, texts)))
        for reverse, own in strands:
            found = self.classifier.outputs(list(own), names, self.folds, self.config.batch_tokens)
            yield from ((fold, reverse, outputs) for fold, outputs in enumerate(found))


@contextmanager
def _counted(progress: Progress, rows: int, outputs: int) -> Iterator[Tick]:
    """Yield what is told of outputs; after all of them `progress` has advanced by `rows`."""
    done = told = 0

    def tick(count: int) -> None:
        nonlocal done, told
        done += count
        whole = rows * done // outputs
        progress.advance(whole - told)
        told = whole

    yield tick
    progress.advance(rows - told)


def _over_folds(sums: np.ndarray, counts: np.ndarray) -> Predictions:
    """Return mean and sample SD (0 of one) over folds of means over pieces, nan where are none."""
    with np.errstate(invalid="ignore"):
        means = sums / counts[None, :, None]
    spread = means.std(axis=0, ddof=1) if len(means) > 1 else np.zeros_like(means[0])
    return Predictions(mean=means.mean(axis=0), sd=spread)


def _add_to(tracks: Tracks, block: Sequence[Pieces], predicted: Predictions) -> None:
    for pieces, mean in zip(block, predicted.mean, strict=True):
        place = pieces.row.columns
        if pieces.texts:
            # Sequences of the other strand were turned round before they were read.
            ordered = mean[::-1] if place["strand"] == REVERSE else mean
            tracks.add(place["contig"], place["start"], ordered)
