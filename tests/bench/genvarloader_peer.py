"""GenVarLoader as the peer of haplotypes.py: reads windows for it, in a Python of its own.

    python tests/bench/genvarloader_peer.py FOLDER LENGTH

FOLDER holds panel.fa, panel.vcf.gz and, from haplotypes.py, starts.npy, rows.npy and samples.npy:
window pair i is both haplotypes of sample samples[i] from starts[rows[i]] on. Every line on the
standard input is a request, every line on the standard output its answer:

    build SOURCE             {"seconds": CPU seconds, "bytes": size of data set and variants}
    read SOURCE PAIRS CALLS  {"seconds": CPU seconds of so many calls for so many pairs each}
    save SOURCE PATH         {}, all windows are in PATH then, letters in uint8[pairs, 2, LENGTH]
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

# What others print must not get between the answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import genvarloader as gvl  # noqa: E402
import polars as pl  # noqa: E402
from genoray import VCF, SparseVar, SparseVar2  # noqa: E402

CONTIG = "20"
MEMORY = "1g"
# Of regions just as long as the windows it leaves out some variants near the end: where deletions
# make a window reach further, and where several regions begin between the same two variants.
MARGIN = 1000


class Peer:
    """Data sets of the same windows on each store of variants that GenVarLoader reads fast.

    A data set made from the VCF file itself takes minutes for a thousand starts and is read at half
    the speed, so it is not among them.
    """

    def __init__(self, folder: Path, length: int) -> None:
        self.folder, self.length = folder, length
        self.starts, self.rows, self.samples = (
            np.load(folder / f"{name}.npy") for name in ("starts", "rows", "samples")
        )
        self.data: dict[str, gvl.Dataset] = {}

    def build(self, source: str) -> dict[str, float]:
        vcf, store = self.folder / "panel.vcf.gz", self.folder / f"panel.{source}"
        start = time.process_time()
        if source == "svar":
            SparseVar.from_vcf(store, VCF(vcf), MEMORY, overwrite=True)
        else:
            # With a reference it would move indels to the left, and so to other windows than ours.
            SparseVar2.from_vcf(store, vcf, no_reference=True, threads=1, overwrite=True)
        regions = pl.DataFrame(
            {
                "chrom": [CONTIG] * len(self.starts),
                "chromStart": self.starts,
                "chromEnd": self.starts + self.length + MARGIN,
            }
        )
        gvl.write(self.folder / f"{source}.gvl", regions, variants=store, overwrite=True)
        seconds = time.process_time() - start
        self._open(source)
        files = [*store.rglob("*"), *(self.folder / f"{source}.gvl").rglob("*")]
        return {"seconds": seconds, "bytes": sum(f.stat().st_size for f in files if f.is_file())}

    def _open(self, source: str) -> None:
        where = {source: self.folder / f"panel.{source}"}
        data = gvl.Dataset.open(
            self.folder / f"{source}.gvl", reference=self.folder / "panel.fa", **where
        )
        # Deterministic and without jitter is how a data set is opened.
        data = data.with_seqs("haplotypes").with_len(self.length).with_settings(parallel=False)
        self.data[source] = data
        order = {name: number for number, name in enumerate(data.samples)}
        names = (self.folder / "samples.txt").read_text().split()
        self.columns = np.array([order[name] for name in names])[self.samples]

    def read(self, source: str, pairs: int, calls: int) -> dict[str, float]:
        data, start = self.data[source], time.process_time()
        for first in range(0, pairs * calls, pairs):
            data[self.rows[first : first + pairs], self.columns[first : first + pairs]]
        return {"seconds": time.process_time() - start}

    def save(self, source: str, path: str) -> dict[str, float]:
        np.save(path, self.data[source][self.rows, self.columns].view(np.uint8))
        return {}


def main() -> None:
    peer = Peer(Path(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        request, *arguments = line.split()
        values = [int(value) if value.isdigit() else value for value in arguments]
        answers.write(json.dumps(getattr(peer, request)(*values)) + "\n")


if __name__ == "__main__":
    main()
