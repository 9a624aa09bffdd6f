"""Windows of haplotypes against those of `bcftools consensus` and of GenVarLoader.

    python tests/bench/haplotypes.py --output results/bench/haplotypes.json

Bases per second of processor time, all threads counted. All three get the same variants, and
GenVarLoader and ours the same windows, both haplotypes of a sample from a start on; its best store
of variants and batch size count against our best batch size. It is told the starts when its data
set is written and looks up the variants of each then; ours finds them as it reads. `bcftools` makes
whole haplotypes: from the panel's files, as it is used, and from a file that holds one person's
variants alone, made beforehand as our store is.
GenVarLoader lives in a venv of its own below the output's folder, made from genvarloader.txt at the
first run.

The variants: where DNALM_DATA names a folder of real data, 300 samples of 1000 Genomes, else as
many simulated ones; and 3,202 simulated samples.

In the same run our windows are compared with slices of what `bcftools` makes, and with those of
GenVarLoader. Its differ, and may, only where a haplotype carries two records that share a base:
it never applies the second one, where `bcftools` puts an indel behind the base that the record
before it left; and it decides from the window's start on, not over the whole contig.
"""

import gzip
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
from comparison import Comparison, read_arguments, report
from numpy.typing import NDArray

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.haplotypes.build import PanelConfig, build_haplotypes
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.kmers import to_codes, to_sequence

HERE = Path(__file__).parent
REAL = Path("human_grch37_chr20_1-2Mb")
REAL_FASTA = REAL / "20_1000001-2000000.fa.gz"
REAL_VCF = REAL / "1000G_phase3.300_samples.20_1-4Mb.phased.vcf.gz"
REAL_FIRST = 1_000_000
CONTIG, CONTIG_LENGTH = "20", 1_000_000
SIMULATED = 40_000  # variants of 3,202 samples
CARRIED = 700  # variants of a haplotype on the contig: 2.1 million in a human genome
INDELS, LONGEST_INDEL = 0.11, 20
GENOME_VARIANTS, GENOME_HAPLOTYPES = 125_000_000, 6404  # of 1000 Genomes at high coverage
GENOME_ALLELES = 2_100_000 * GENOME_HAPLOTYPES

LENGTH = 6000
STARTS, PAIRS = 1000, 10_000  # a pair is both haplotypes of a sample: 20,000 windows
BATCHES = (1, 2, 32, 128, 512, 2048, 8192)  # windows; GenVarLoader reads them by pairs
CALLS = 2000  # at most, per round
ROUNDS = 10  # each makes another haplotype with `bcftools`
SOURCES = ("svar", "svar2")  # stores that GenVarLoader reads
LEAST_EQUAL = 0.95  # share of GenVarLoader's windows
# The binary form is read faster, and what one person carries fastest.
BCFTOOLS_LIMITS = {"vcf.gz": 200.0, "bcf": 50.0, "bcf of one person": 10.0}
MARGIN = 1000  # longer than any deletion
ROWS = 1000  # windows compared at once
TINY = {"ROUNDS": 2, "STARTS": 20, "PAIRS": 40, "BATCHES": (1, 2, 32), "CALLS": 3, "SIMULATED": 400}
UNIT = "bases per CPU second"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Variants of some samples on one contig, which is whole, as files in `folder`."""

    name: str
    folder: Path

    @property
    def fasta(self) -> Path:
        return self.folder / "panel.fa"

    @property
    def vcf(self) -> Path:
        return self.folder / "panel.vcf.gz"

    @property
    def bcf(self) -> Path:
        return self.folder / "panel.bcf"


def write_panel(panel: Panel, sequence: str, lines: Iterator[bytes]) -> None:
    """Write the files of a panel from the contig and the lines of a VCF file."""
    panel.folder.mkdir(parents=True)
    panel.fasta.write_text(f">{CONTIG}\n{sequence}\n")
    pysam.faidx(str(panel.fasta))
    with pysam.BGZFile(str(panel.vcf), "wb") as file:
        for line in lines:
            file.write(line)
    pysam.tabix_index(str(panel.vcf), preset="vcf")
    # `bcftools` reads the binary form several times faster.
    for arguments in (("view", "-Ob", "-o", panel.bcf, panel.vcf), ("index", panel.bcf)):
        run_bcftools(*arguments)


def run_bcftools(command: str, *arguments: object) -> None:
    getattr(pysam.bcftools, command)(*map(str, arguments), catch_stdout=False)


def real_lines(source: Path) -> Iterator[bytes]:
    """Yield the lines of the real VCF file that lie on its piece of reference, counted from it."""
    with gzip.open(source) as file:
        for line in file:
            if line.startswith(b"##contig"):
                yield f"##contig=<ID={CONTIG},length={CONTIG_LENGTH}>\n".encode()
            elif line.startswith(b"#"):
                yield line
            else:
                contig, position, name, reference, rest = line.split(b"\t", 4)
                start = int(position) - REAL_FIRST
                if start + len(reference) - 1 <= CONTIG_LENGTH:
                    yield b"\t".join((contig, b"%d" % start, name, reference, rest))


def simulated_lines(
    sequence: str, samples: int, records: int, random: np.random.Generator
) -> Iterator[bytes]:
    """Yield the lines of a VCF file in which a haplotype carries `CARRIED` variants on average.

    An allele's count has a power law as distribution, steeper than the 1 / count of a population
    of constant size, as much as it takes for the number of variants carried.
    """
    haplotypes = 2 * samples
    counts = np.arange(1, haplotypes)
    low, high = 0.0, 4.0
    while high - low > 1e-6:
        exponent = (low + high) / 2
        weights = counts**-exponent
        too_many = (counts * weights).sum() / weights.sum() > CARRIED / records * haplotypes
        low, high = (exponent, high) if too_many else (low, exponent)
    frequencies = random.choice(counts, records, p=weights / weights.sum()) / haplotypes
    positions = np.sort(random.choice(len(sequence) - LONGEST_INDEL - 1, records, replace=False))
    names = "\t".join(f"S{number:04d}" for number in range(samples))
    yield (
        f"##fileformat=VCFv4.2\n##contig=<ID={CONTIG},length={len(sequence)}>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    ).encode()
    for position, frequency in zip(positions.tolist(), frequencies, strict=True):
        genotypes = np.tile(np.frombuffer(b"0|0\t", np.uint8), (samples, 1))
        genotypes[:, 0:4:2] += random.random((samples, 2), dtype=np.float32) < frequency
        genotypes[-1, 3] = ord("\n")
        reference, alternative = simulate_alleles(sequence, position, random)
        fields = f"{CONTIG}\t{position + 1}\t.\t{reference}\t{alternative}\t.\tPASS\t.\tGT\t"
        yield fields.encode() + genotypes.tobytes()


def simulate_alleles(sequence: str, position: int, random: np.random.Generator) -> tuple[str, str]:
    base, kind = sequence[position], random.random()
    size = int(random.integers(1, LONGEST_INDEL + 1))
    if kind < INDELS / 2:
        return sequence[position : position + size + 1], base
    if kind < INDELS:
        return base, base + to_sequence(random.integers(0, 4, size, dtype=np.uint8))
    return base, random.choice(sorted(set("ACGT") - {base}))


def make_panels(folder: Path) -> list[Panel]:
    """Write the panels anew and return them."""
    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(0)
    sequence = to_sequence(random.integers(0, 4, CONTIG_LENGTH, dtype=np.uint8))
    large = Panel(name="3,202 simulated samples", folder=folder / "simulated_3202")
    write_panel(large, sequence, simulated_lines(sequence, 3202, SIMULATED, random))
    if real := os.getenv("DNALM_DATA"):
        data = Path(real)
        small = Panel(name="300 samples of chr20", folder=folder / "chr20")
        with gzip.open(data / REAL_FASTA, "rt") as file:
            sequence = "".join(line.strip() for line in file if not line.startswith(">"))
        write_panel(small, sequence.upper(), real_lines(data / REAL_VCF))
    else:
        small = Panel(name="300 simulated samples", folder=folder / "simulated_300")
        write_panel(small, sequence, simulated_lines(sequence, 300, 6021, random))
    return [small, large]


class Ours:
    """A store of a panel's haplotypes, made anew."""

    def __init__(self, panel: Panel) -> None:
        genome, store = panel.folder / "genome", panel.folder / "haplotypes"
        genome.mkdir()
        files = ("bases.npy", "contigs.tsv", "manifest.json")
        bases, contigs, manifest = (genome / name for name in files)
        write_bases(
            panel.fasta, name="panel", config={}, bases=bases, contigs=contigs, manifest=manifest
        )
        config = PanelConfig(
            samples=None, unphased="refuse", symbolic_deletions="reference", largest_mismatch=0.0
        )
        start = time.process_time()
        build_haplotypes(
            config,
            variants=panel.vcf,
            index=None,
            genome=GenomeBases.of(genome),
            contig=CONTIG,
            folder=store,
        )
        self.seconds = time.process_time() - start
        self.store = HaplotypeStore(store)
        self.reference = np.load(bases, mmap_mode="r")

    def read(self, haplotypes: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return codes uint8[B, LENGTH]."""
        codes, lengths = self.store.read(self.reference, 0, haplotypes, starts, LENGTH)
        if (lengths != LENGTH).any():
            raise AssertionError("a window ended before the contig")
        return codes

    def describe(self) -> str:
        """Return size and build time, and for a panel of that size what a genome would take."""
        facts = self.store.manifest
        each = facts["store_bytes"] / facts["alleles"]
        per_record = self.seconds / facts["records"]
        text = (
            f"{facts['records']:,} records, {facts['alleles']:,} alternative alleles carried\n"
            f"  ours: {facts['store_bytes'] / 1e6:,.1f} MB, {each:.2f} bytes per allele, made in "
            f"{self.seconds:.1f} CPU seconds, {1e3 * per_record:.2f} ms per record\n"
        )
        if facts["haplotypes"] == GENOME_HAPLOTYPES:
            text += (
                f"  a genome of {GENOME_VARIANTS / 1e6:.0f} million records and "
                f"{GENOME_ALLELES / 1e9:.1f} billion alleles carried would take "
                f"{GENOME_ALLELES * each / 1e9:,.0f} GB and "
                f"{GENOME_VARIANTS * per_record / 3600:,.1f} CPU hours\n"
            )
        return text


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Pairs of windows: both haplotypes of `samples[i]` from `starts[rows[i]]` on."""

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    samples: NDArray[np.int64]

    @property
    def flat(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Haplotypes and starts of all windows."""
        haplotypes = 2 * self.samples[:, None] + np.arange(2)
        return haplotypes.ravel(), np.repeat(self.starts[self.rows], 2)


def make_windows(panel: Panel, samples: int) -> Windows:
    """Return random windows; no two starts lie between the same two records.

    GenVarLoader's svar mixes up where such windows end, and leaves out variants near the end.
    """
    random = np.random.default_rng(1)
    # So far from the end that deletions do not make a window end early.
    candidates = random.integers(0, CONTIG_LENGTH - LENGTH - MARGIN, 10 * STARTS)
    with pysam.VariantFile(str(panel.bcf)) as file:
        positions = np.array([record.start for record in file])
    _, apart = np.unique(np.searchsorted(positions, candidates), return_index=True)
    return Windows(
        starts=candidates[random.choice(apart, STARTS, replace=False)],
        rows=random.integers(0, STARTS, PAIRS),
        samples=random.integers(0, samples, PAIRS),
    )


class Consensus:
    """Whole haplotypes of a panel by `bcftools consensus`."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self._output, self._chain = panel.folder / "consensus.fa", panel.folder / "consensus.chain"

    def extract(self, sample: str) -> Path:
        """Return a file of the variants that one sample carries."""
        path = self.panel.folder / "one.bcf"
        run_bcftools("view", "-Ob", "-s", sample, "-c", 1, "-o", path, self.panel.bcf)
        run_bcftools("index", "-f", path)
        return path

    def make(self, variants: Path, sample: str, haplotype: int) -> None:
        files = ("-f", self.panel.fasta, "-o", self._output, "-c", self._chain, variants)
        run_bcftools("consensus", "-s", sample, "-H", f"{haplotype + 1}pIu", *files)

    def slices(self, starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what was made last from where each start is in it, codes uint8[B, LENGTH]."""
        lines = self._output.read_text().splitlines()[1:]
        codes = to_codes("".join(lines))
        return codes[self._find(starts)[:, None] + np.arange(LENGTH)]

    def _find(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where positions of the reference are in the haplotype.

        The chain file alternates between runs of equal length and gaps of so many bases in the
        reference and so many in the haplotype. A position in a gap is as far into its new bases.
        """
        blocks = [
            list(map(int, line.split())) for line in self._chain.read_text().split("\n")[1:] if line
        ]
        rows, reference, haplotype = [], 0, 0
        for size, *gap in blocks:
            reference, haplotype = reference + size, haplotype + size
            old, new = gap or (0, 0)
            rows.append((reference, old, haplotype, new))
            reference, haplotype = reference + old, haplotype + new
        begins, old, places, new = np.array([(0, 0, 0, 0), *rows]).T
        gap = np.searchsorted(begins, starts, side="right") - 1
        into = starts - begins[gap]
        inside = places[gap] + np.minimum(into, new[gap])
        return np.where(into < old[gap], inside, places[gap] + new[gap] + into - old[gap])


def make_environment(folder: Path) -> Path | None:
    """Return the Python that has GenVarLoader; say so and return None where it cannot be had."""
    requirements, done = HERE / "genvarloader.txt", folder / "complete.txt"
    python = folder / "bin" / "python"
    wanted = requirements.read_text()
    if done.exists() and done.read_text() == wanted:
        return python
    commands = (
        (sys.executable, "-m", "venv", "--clear", folder),
        (python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "-r", requirements),
    )
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        sys.stdout.write(f"GenVarLoader is not compared, its venv could not be made: {reason}\n")
        return None
    done.write_text(wanted)
    return python


class GenVarLoader:
    """genvarloader_peer.py, running in its own Python."""

    def __init__(self, python: Path, panel: Panel, windows: Windows, samples: list[str]) -> None:
        for name in ("starts", "rows", "samples"):
            np.save(panel.folder / f"{name}.npy", getattr(windows, name))
        (panel.folder / "samples.txt").write_text("\n".join(samples))
        self._log = panel.folder / "genvarloader.log"
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [python, HERE / "genvarloader_peer.py", panel.folder, str(LENGTH)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Threads that wait for each other cost processor time.
                env=os.environ | {"GVL_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
            )
        for source in SOURCES:
            built = self.ask("build", source)
            sys.stdout.write(
                f"  GenVarLoader's {source} and data set of {STARTS:,} starts: "
                f"{built['bytes'] / 1e6:,.1f} MB, made in {built['seconds']:.1f} CPU seconds\n"
            )

    def ask(self, *request: object) -> dict[str, float]:
        self._process.stdin.write(" ".join(map(str, request)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"GenVarLoader failed, see {self._log}")
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def explain(panel: Panel, sample: str, side: int, start: int) -> str:
    """Return why GenVarLoader's window may differ: where two carried records share a base."""
    with pysam.VariantFile(str(panel.bcf)) as file:
        file.subset_samples([sample])
        last = -1
        for record in file.fetch(CONTIG, max(0, start - MARGIN), start + LENGTH + MARGIN):
            if record.samples[0]["GT"][side]:
                if record.start <= last:
                    return "before the start" if record.start < start else "inside"
                last = record.start + len(record.ref) - 1
    return "nowhere"


def compare_windows(
    panel: Panel, samples: list[str], windows: Windows, ours: Ours, peer: GenVarLoader, source: str
) -> tuple[float, bool]:
    """Return which share of GenVarLoader's windows equals ours, and whether the rest is explained.

    Prints how many differ, by where the haplotype has two records that share a base.
    """
    path = panel.folder / "windows.npy"
    peer.ask("save", source, path)
    letters = np.load(path, mmap_mode="r").reshape(-1, LENGTH)
    haplotypes, starts = windows.flat
    differ: Counter[str] = Counter()
    for first in range(0, len(starts), ROWS):
        rows = slice(first, first + ROWS)
        codes = to_codes(letters[rows].tobytes()).reshape(-1, LENGTH)
        for row in first + np.flatnonzero(
            (ours.read(haplotypes[rows], starts[rows]) != codes).any(axis=1)
        ):
            sample, side = divmod(int(haplotypes[row]), 2)
            differ[explain(panel, samples[sample], side, int(starts[row]))] += 1
    sys.stdout.write(
        f"  {differ.total()} of {len(starts):,} windows of GenVarLoader's {source} differ; where "
        f"two records share a base: {dict(differ)}\n"
    )
    path.unlink()
    return 1 - differ.total() / len(starts), not differ["nowhere"]


def race(
    panel: Panel, samples: list[str], windows: Windows, ours: Ours, peer: GenVarLoader | None
) -> tuple[dict[tuple[str, int], float], bool]:
    """Return {(side, batch): bases per CPU second}, and whether all equals bcftools.

    The sides take turns; a speed is the median of the rounds.
    """
    consensus, (haplotypes, starts) = Consensus(panel), windows.flat
    speeds: dict[tuple[str, int], list[float]] = defaultdict(list)
    equal = True

    def read(batch: int, calls: int) -> None:
        for first in range(0, batch * calls, batch):
            ours.read(haplotypes[first : first + batch], starts[first : first + batch])

    read(1, 1)  # compiles
    chosen = np.random.default_rng(2).choice(len(samples), ROUNDS // 2, replace=False).tolist()
    for sample, side in itertools.product(chosen, range(2)):
        own = consensus.extract(samples[sample])
        kinds = (("vcf.gz", panel.vcf), ("bcf", panel.bcf), ("bcf of one person", own))
        for kind, variants in kinds:
            seconds = cpu_seconds(partial(consensus.make, variants, samples[sample], side))
            speeds[kind, 1].append(CONTIG_LENGTH / seconds)
            codes = ours.read(np.full(STARTS, 2 * sample + side), windows.starts)
            equal &= bool((codes == consensus.slices(windows.starts)).all())
        for batch in BATCHES:
            calls = min(2 * PAIRS // batch, CALLS)
            bases = batch * calls * LENGTH
            speeds["ours", batch].append(bases / cpu_seconds(partial(read, batch, calls)))
            for source in SOURCES if peer and batch > 1 else ():
                seconds = peer.ask("read", source, batch // 2, calls)["seconds"]
                speeds[source, batch].append(bases / seconds)
    return {key: statistics.median(values) for key, values in speeds.items()}, equal


def cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(panel: Panel, python: Path | None) -> list[Comparison]:
    ours = Ours(panel)
    sys.stdout.write(f"{panel.name}: {ours.describe()}")
    samples = ours.store.samples
    windows = make_windows(panel, len(samples))
    peer = GenVarLoader(python, panel, windows, samples) if python else None
    speeds, equal = race(panel, samples, windows, ours, peer)
    for (side, batch), speed in speeds.items():
        what = f"{side}, {batch} windows" if side in ("ours", *SOURCES) else f"bcftools, {side}"
        sys.stdout.write(f"  {what:<20}{speed / 1e6:10,.1f} million {UNIT}\n")
    best = {
        side: max(speed for (name, _), speed in speeds.items() if name == side)
        for side, _ in speeds
    }
    row = partial(Comparison, unit=UNIT)
    rows = [
        row(
            case=f"{panel.name}, bcftools consensus of .{kind}",
            ours=best["ours"],
            peer=best[kind],
            correct=equal,
            limit=limit,
        )
        for kind, limit in BCFTOOLS_LIMITS.items()
    ]
    if peer is None:
        case = f"{panel.name}, GenVarLoader (not run)"
        return [*rows, row(case=case, ours=best["ours"], peer=None, correct=True, limit=1.0)]
    correct = True
    for source in SOURCES:
        share, explained = compare_windows(panel, samples, windows, ours, peer, source)
        correct &= explained and share > LEAST_EQUAL
        rows.append(
            row(
                case=f"{panel.name}, GenVarLoader on .{source} ({share:.2%} of windows equal)",
                ours=best["ours"],
                peer=best[source],
                correct=explained and share > LEAST_EQUAL,
                limit=1.0,
            )
        )
    rows.append(
        row(
            case=f"{panel.name}, GenVarLoader, one pair of windows at a time",
            ours=speeds["ours", 2],
            peer=max(speeds[source, 2] for source in SOURCES),
            correct=correct,
            limit=1.0,
        )
    )
    peer.close()
    return rows


def main() -> int:
    arguments = read_arguments(__doc__)
    if arguments.tiny:
        globals().update(TINY)
    folder = arguments.output.resolve().parent
    # Its environment takes longer than all the rest.
    python = None if arguments.tiny else make_environment(folder / "genvarloader-venv")
    rows = []
    pysam.set_verbosity(1)  # errors only: the real file's header is not quite as it should be
    for panel in make_panels(folder / "haplotypes"):
        rows += compare(panel, python)
    return report(rows, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
