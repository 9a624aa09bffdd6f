"""Random damage to files of rows, intervals and genes: a right result, or one sentence."""

import gzip
import random
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dnalm.benchmark.tasks.table import make_task
from dnalm.errors import InputError
from dnalm.genome.annotation import read_gtf, splice_sites
from dnalm.genome.intervals import read_bed

FOLDS = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 1}
TASK = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())["task"]
MUTATIONS = 150
ODD = [
    "²",
    "\ufeff",
    "\0",
    "nan",
    "1_0",
    "9" * 30,
    "é",
    "\r",
    "\n",
    "\t",
    '"',
    ">",
    "-",
    "1e400",
    "ß",
]
DRAW = random.Random(5)
SEQUENCES = ["".join(DRAW.choices("ACGT", k=20)) for _ in range(24)]
TEXTS = {
    "x.csv": "sequence,label\n" + "".join(f"{s},{i % 2}\n" for i, s in enumerate(SEQUENCES)),
    "x.fa": "".join(f">s{i}|{i % 2}\n{s}\n" for i, s in enumerate(SEQUENCES)),
    "x.bed": "".join(f"c\t{i * 10}\t{i * 10 + 9}\tn\t0\t+\t0\t0\t0\t3\n" for i in range(9)),
    "x.gtf": "".join(
        f'c\tx\texon\t{i * 10 + 1}\t{i * 10 + 9}\t.\t+\t.\ttranscript_id "t{i // 3}"; level 2;\n'
        for i in range(9)
    ),
}


def damaged(data, draw):
    """Return bytes with a byte changed, an odd text put in, a piece lost, doubled, or cut off."""
    data = bytearray(data)
    place = draw.randrange(len(data))
    end = place + draw.randint(1, 40)
    match draw.randrange(5):
        case 0:
            data[place] = draw.randrange(256)
        case 1:
            data[place:place] = draw.choice(ODD).encode(draw.choice(["utf-8", "utf-16"]))
        case 2:
            del data[place:end]
        case 3:
            data[place:place] = data[place:end]
        case 4:
            del data[place:]
    return bytes(data)


def read(path):
    """Return whether what a damaged file gives is of the type of an undamaged one's."""
    if path.suffix == ".bed":
        table = read_bed(path, summit=10)
        return bool((table["start"] < table["end"]).all())
    if path.suffix == ".gtf":
        sites = splice_sites(read_gtf(path), 10)
        return bool((sites["position"] >= 0).all())
    table, _ = make_task(
        {"train": [str(path)], "test": []}, {**TASK, "test_share": 0.3}, "mine.x", FOLDS
    )
    letters = table["sequence"].str.fullmatch("[ACGTN]+").all()
    return bool(letters and table["label"].between(0, table["label"].max()).all())


def sentence(path):
    """Return what a damaged file is refused with, "" where it is read."""
    try:
        assert read(path)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [*TEXTS, "x.parquet"])
def test_a_damaged_file_is_read_or_refused_in_one_sentence(tmp_path, name, packed):
    path = tmp_path / name
    if name == "x.parquet":
        rows = {"sequence": SEQUENCES, "label": [i % 2 for i in range(len(SEQUENCES))]}
        pd.DataFrame(rows).to_parquet(path)
        whole = path.read_bytes()
    else:
        whole = TEXTS[name].encode()
        whole = gzip.compress(whole, mtime=0) if packed else whole
    path.write_bytes(whole)
    assert read(path)
    draw = random.Random(name + str(packed))
    for _ in range(MUTATIONS):
        path.write_bytes(damaged(whole, draw))
        said = sentence(path)
        assert not said or name in said or "mine.x" in said
        assert "\n" not in said
