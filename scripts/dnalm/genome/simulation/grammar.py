"""Sequence models of a simulated genome: Markov background, repeats, genes and enhancers.

Every element is painted over background bases (uint8 codes, A T C G = 0 1 2 3) in its own reading
direction; coordinates are 0-based and half-open. All signals are noisy, and much of them lies in
distances and order: promoter motifs at fixed distances from the start, splice sites at exon borders
with look-alikes elsewhere, pairs of motifs in enhancers with loners all around. Homotypic clusters
are the easy signal: many sites of one factor.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.kmers import reverse_complement, to_codes

Codes = NDArray[np.uint8]

MARKOV_ORDER = 3  # of the background
CONTEXT_SPREAD = 0.5  # standard deviation of a context's log-odds
CPG_DEPLETION = 0.3  # of CpG outside of islands, as in vertebrates
ISLAND_GC = 0.62
CODON_SPREAD = 0.6  # standard deviation of a codon's log-odds
STOPS = ("TAA", "TAG", "TGA")

UPSTREAM = 250  # bases of a gene's promoter before its first exon
EXONS = (3, 6)
EXON_BASES = (130, 0.4, 60)  # median, spread of the logarithm, least
INTRON_BASES = (220, 0.5, 90)
LEADER_BASES = (30, 80)
TRAILER_BASES = (60, 150)

ENHANCER_BASES = (200, 320)
FACTOR_MOTIFS = ("TGACGTCA", "CAGGAAGT", "TTGCGCAA", "GATAAGAT", "CCACGTGG", "ACAATGGC")
FACTOR_PAIRS = ((0, 1), (2, 3), (4, 5))  # factors that act together, the first upstream
PAIR_SPACING = (6, 10)

CLUSTER_BASES = (200, 320)
CLUSTER_SITES = {"A": "TGACCTTAGCAA", "B": "GGTTCCATCGAT", "C": "ACTCAGGCTATG", "D": "CGAATGTCCTGT"}
SITE_FIDELITY = 0.95

IUPAC = {"R": "AG", "Y": "CT", "W": "AT", "S": "CG", "N": "ACGT"}


@cache
def _motif_codes(consensus: str) -> tuple[Codes, NDArray[np.bool_], NDArray[np.int64]]:
    """Return four codes to choose from for each letter, which letters are free, and 0, 1, 2 ..."""
    letters = [IUPAC.get(letter, letter) for letter in consensus]
    codes = np.stack([to_codes((choice * 4)[:4]) for choice in letters])
    return codes, np.array([letter == "N" for letter in consensus]), np.arange(len(consensus))


@dataclass(frozen=True, kw_only=True)
class Gene:
    """A painted gene: exons and coding parts as (start, end) in reading direction, ascending."""

    start: int
    tata: bool
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...]


class Grammar:
    """Draws sequences and elements; what all contigs share is fixed by the first draws."""

    def __init__(self, random: np.random.Generator, motif_fidelity: float) -> None:
        self.random, self.fidelity = random, motif_fidelity
        self.contexts = random.normal(0, CONTEXT_SPREAD, (4**MARKOV_ORDER, 4))
        codons = ["".join(c) for c in product("ACGT", repeat=3)]
        self.codons = np.stack([to_codes(c) for c in codons if c not in STOPS])
        weights = np.exp(random.normal(0, CODON_SPREAD, len(self.codons)))
        self.codon_shares = weights / weights.sum()
        self.families = [
            self.background(np.array([0.5]), int(random.integers(150, 600))) for _ in range(8)
        ]

    def background(self, gc: NDArray[np.float64], length: int, cpg: float = CPG_DEPLETION) -> Codes:
        """Return `length` base codes of a Markov chain; `gc` of its equal parts."""
        # Chains of about the square root of the length run side by side: numpy has few steps.
        columns = max(16, int(length**0.5))
        rows = -(-length // columns)
        isochore = np.arange(rows) * len(gc) // rows
        share = np.stack([(1 - gc) / 2, (1 - gc) / 2, gc / 2, gc / 2], axis=1)
        odds = share[:, None, :] * np.exp(self.contexts)
        odds[:, 2::4, 3] *= cpg  # a G (3) after a C (2), the context's last base
        bounds = np.cumsum(odds / odds.sum(axis=2, keepdims=True), axis=2)[:, :, :3]
        codes = np.empty((rows, columns), dtype=np.uint8)
        context = self.random.integers(4**MARKOV_ORDER, size=rows)
        for column in range(columns):
            draw = self.random.random(rows)
            base = (draw[:, None] > bounds[isochore, context]).sum(axis=1)
            codes[:, column] = base
            context = (context * 4 + base) % 4**MARKOV_ORDER
        return codes.reshape(-1)[:length]

    def motif(self, codes: Codes, at: int, consensus: str, fidelity: float | None = None) -> None:
        """Write a consensus at `at`, each base with probability `fidelity`, else leave it."""
        fidelity = self.fidelity if fidelity is None else fidelity
        options, free, places = _motif_codes(consensus)
        draws = self.random.random((2, len(places)))
        written = options[places, (draws[0] * 4).astype(np.int64)]
        piece = codes[at : at + len(places)]
        piece[:] = np.where(free | (draws[1] >= fidelity), piece, written)

    def length(self, shape: tuple[float, float, int]) -> int:
        """Draw a length from a log-normal distribution (median, spread) with a least value."""
        median, spread, least = shape
        return max(least, round(float(np.exp(self.random.normal(np.log(median), spread)))))

    def island(self, codes: Codes) -> None:
        """Paint a CpG island over all of `codes`, leaving some bases as they were."""
        rich = self.background(np.array([ISLAND_GC]), len(codes), cpg=1.0)
        replaced = self.random.random(len(codes)) < 0.8
        codes[replaced] = rich[replaced]

    def gene_lengths(self) -> tuple[list[int], list[int]]:
        """Draw the lengths of a gene's exons and introns."""
        exons = [self.length(EXON_BASES) for _ in range(int(self.random.integers(*EXONS)))]
        # Room for the untranslated ends beside the coding part.
        exons[0] += LEADER_BASES[1]
        exons[-1] += TRAILER_BASES[1]
        return exons, [self.length(INTRON_BASES) for _ in exons[1:]]

    def gene(
        self, codes: Codes, exons: list[int], introns: list[int], tata: bool, island: bool
    ) -> Gene:
        """Paint a gene over `codes`: promoter, coding exons, introns and their sites."""
        spans, at = [], UPSTREAM
        for exon, intron in zip(exons, [*introns, 0], strict=True):
            spans.append((at, at + exon))
            at += exon + intron
        self._promoter(codes, UPSTREAM, tata, island)
        coding = self._coding(codes, spans)
        for (_, donor), (acceptor, _) in pairwise(spans):
            self.donor(codes, donor)
            self.acceptor(codes, acceptor)
        return Gene(start=UPSTREAM, tata=tata, exons=tuple(spans), coding=tuple(coding))

    def _promoter(self, codes: Codes, start: int, tata: bool, island: bool) -> None:
        """Paint a promoter whose transcription starts at `start`."""
        random = self.random
        if island:
            left, right = random.integers(100, 180), random.integers(20, 60)
            self.island(codes[start - left : start + right])
        for box, chance in (("GGGGCGGGG", 0.6), ("GGCCAATCA", 0.4)):
            if random.random() < chance:
                self.motif(codes, start - int(random.integers(50, 110)), box)
        if tata:
            self.motif(codes, start - 31 + int(random.integers(-2, 3)), "TATAAAAR")
        self.motif(codes, start - 2, "YYANWYY")
        if random.random() < 0.5:
            self.motif(codes, start + 28, "RGACGT")

    def _coding(self, codes: Codes, exons: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Paint an open reading frame across the exons; return its parts."""
        leader = int(self.random.integers(*LEADER_BASES))
        trailer = int(self.random.integers(*TRAILER_BASES))
        places = np.concatenate([np.arange(*exon) for exon in exons])[leader:-trailer]
        places = places[: len(places) // 3 * 3]
        drawn = self.random.choice(len(self.codons), len(places) // 3, p=self.codon_shares)
        frame = self.codons[drawn]
        frame[0] = to_codes("ATG")
        frame[-1] = to_codes(STOPS[int(self.random.integers(len(STOPS)))])
        codes[places] = frame.reshape(-1)
        first, last = int(places[0]), int(places[-1]) + 1
        parts = [(max(start, first), min(end, last)) for start, end in exons]
        return [(start, end) for start, end in parts if start < end]

    def donor(self, codes: Codes, border: int) -> None:
        """Paint a donor site: the exon ends and the intron begins at `border`."""
        self.motif(codes, border - 3, "CAG", fidelity=0.6 * self.fidelity)
        self.motif(codes, border + 2, "AAGT")
        self.motif(codes, border, "GT", fidelity=1.0)

    def acceptor(self, codes: Codes, border: int) -> None:
        """Paint an acceptor site: the intron ends and the exon begins at `border`."""
        tract = int(self.random.integers(10, 19))
        self.motif(codes, border - 4 - tract, "Y" * tract, fidelity=0.9 * self.fidelity)
        self.motif(codes, border - int(self.random.integers(28, 42)), "YTNAY")
        self.motif(codes, border - 3, "C", fidelity=0.7 * self.fidelity)
        self.motif(codes, border, "G", fidelity=0.5 * self.fidelity)
        self.motif(codes, border - 2, "AG", fidelity=1.0)

    def enhancer(self, codes: Codes, active: bool) -> None:
        """Paint two or three pairs of motifs; in an inactive look-alike their order is swapped."""
        pairs = int(self.random.integers(2, 4))
        room = len(codes) // pairs
        for part in range(pairs):
            first, second = FACTOR_PAIRS[int(self.random.integers(len(FACTOR_PAIRS)))]
            left, right = FACTOR_MOTIFS[first], FACTOR_MOTIFS[second]
            if not active:
                left, right = right, left
            gap = int(self.random.integers(*PAIR_SPACING))
            size = len(left) + gap + len(right)
            at = part * room + int(self.random.integers(room - size))
            piece = codes[at : at + size].copy()
            self.motif(piece, 0, left)
            self.motif(piece, len(left) + gap, right)
            codes[at : at + size] = self.on_random_strand(piece)

    def cluster(self, codes: Codes, factor: str, occupancy: float) -> None:
        """Paint sites of one factor end to end, each with probability `occupancy`."""
        site = CLUSTER_SITES[factor]
        first = int(self.random.integers(len(site)))
        for at in range(first, len(codes) - len(site) + 1, len(site)):
            if self.random.random() < occupancy:
                self.motif(codes, at, site, fidelity=SITE_FIDELITY)

    def loner(self, codes: Codes) -> None:
        """Paint one site or motif without its context somewhere in `codes` (40 bases or more)."""
        kind = int(self.random.integers(3))
        if kind == 0:
            self.donor(codes, len(codes) // 2)
        elif kind == 1 and len(codes) >= 60:
            self.acceptor(codes, len(codes) - 5)
        else:
            factor = FACTOR_MOTIFS[int(self.random.integers(len(FACTOR_MOTIFS)))]
            self.motif(codes, int(self.random.integers(len(codes) - len(factor))), factor)

    def repeat(self) -> Codes:
        """Return a diverged copy of a piece of a repeat family, or a microsatellite."""
        random = self.random
        if random.random() < 0.15:
            unit = random.integers(4, size=int(random.integers(1, 5))).astype(np.uint8)
            copy = np.tile(unit, int(random.integers(10, 30)))
        else:
            family = self.families[int(random.integers(len(self.families)))]
            begin = int(random.integers(len(family) // 2))
            copy = family[begin : begin + int(random.integers(80, len(family)))].copy()
        mutated = random.random(len(copy)) < random.uniform(0.02, 0.2)
        copy[mutated] = random.integers(4, size=int(mutated.sum()))
        return self.on_random_strand(copy)

    def on_random_strand(self, codes: Codes) -> Codes:
        """Return the codes or, with probability 1/2, their reverse complement."""
        return reverse_complement(codes) if self.random.integers(2) else codes
