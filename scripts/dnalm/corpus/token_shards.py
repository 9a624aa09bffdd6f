"""Token shards: training samples as arrays, to train with other programs.

Shapes: B windows, T tokens of a window with <cls>.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dnalm.corpus.build import BLOCK_WINDOWS
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.files import atomic_path, write_json
from dnalm.genome.arrays import create_array
from dnalm.jobs.progress import Progress

MANIFEST = "manifest.json"


def write_token_shards(
    manifest: Mapping[str, Any],
    genomes: Mapping[str, str | Path],
    folder: str | Path,
    *,
    epochs: int,
    shard_windows: int,
    seed: int,
    panel: str | Path | None,
) -> None:
    """Write the training samples of `epochs` epochs, in order, as arrays of `shard_windows` rows.

    `folder` gets shard-00000.npy, ... (uint16[B, T]) and manifest.json, which names the first
    sample of each. Row r of a shard is `TrainingWindows.draw` of sample first_sample + r.
    """
    drawn = TrainingWindows(manifest, genomes, seed, panel=panel)
    samples = epochs * drawn.windows
    shards = []
    with atomic_path(folder) as temporary, Progress("write shards", "windows", samples) as progress:
        temporary.mkdir()
        for number, first in enumerate(range(0, samples, shard_windows)):
            rows = min(shard_windows, samples - first)
            name = f"shard-{number:05d}.npy"
            shape = (rows, drawn.tokens)
            shard = create_array(temporary / name, np.uint16, shape)
            for row in range(0, rows, BLOCK_WINDOWS):
                stop = min(rows, row + BLOCK_WINDOWS)
                shard[row:stop] = drawn.draw(np.arange(first + row, first + stop))
                progress.advance(stop - row)
            shard.flush()
            shards.append({"file": name, "first_sample": first, "windows": rows})
        facts = {key: manifest[key] for key in ("name", "k", "vocabulary", "tokens", "simulated")}
        facts |= {"seed": seed, "epochs": epochs, "windows_per_epoch": drawn.windows}
        write_json(temporary / MANIFEST, facts | {"shards": shards})
    drawn.close()
