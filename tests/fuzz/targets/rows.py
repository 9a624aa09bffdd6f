"""Files of labelled sequences, beside what pandas and pysam read of them."""

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pysam

from dnalm.benchmark.tasks.row_files import read_labelled
from dnalm.download.compression import GZIP_MAGIC
from fuzz.mutations import bgzip, mutate_bytes, packed
from fuzz.target import Target
from fuzz.targets.making import sequence, table, text_file, word, words

CELLS = ("", "0", "1", "-1", "1.5", "NA", "nan", "a b", 'say "x"', "a,b", "²", "é", "#", "[0, 1]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    format: str
    sequence_column: str = "sequence"
    label_column: Any = "label"
    label_pattern: str | None = None


def reader(settings: Settings) -> Any:
    """Return a reader of (sequence, label) of all rows."""

    def read(path: Path, _: Path) -> list[tuple[str, Any]]:
        return [(row.sequence, row.label) for row in read_labelled(path, "train", settings)]

    return read


def make_rows(random: Random, size: int, separator: str) -> bytes:
    """Return a table with the columns sequence, label and others, in any order."""
    others = [
        name for name in words(random, random.randrange(3)) if name not in ("sequence", "label")
    ]
    header = ["sequence", "label", *others]
    random.shuffle(header)
    rows = [
        [
            sequence(random, random.randint(1, 60)) if name == "sequence" else random.choice(CELLS)
            for name in header
        ]
        for _ in range(random.randint(1, 3 * size))
    ]
    return text_file(table(header, rows, separator, random), random, utf16=True)


def compare_table(separator: str) -> Any:
    """Return how pandas reads a table otherwise."""

    def compare(path: Path, found: list[tuple[str, Any]]) -> str:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
        encoding = "utf-16" if data.startswith(b"\xff\xfe") else "utf-8-sig"
        options = {"keep_default_na": False, "na_filter": False, "skip_blank_lines": True}
        truth = pd.read_csv(
            io.BytesIO(data), sep=separator, dtype=str, encoding=encoding, **options
        )
        wanted = list(zip(map(_known, truth["sequence"]), truth["label"], strict=True))
        return "" if found == wanted else f"{found!r:.500} is {wanted!r:.500}"

    return compare


def _known(sequence: str) -> str:
    """Return a sequence as it is, "" for letters that say that there is none."""
    return "" if sequence.lower() in ("na", "nan") else sequence


def csv_rows(_: Path) -> Target:
    seeds = (
        b"sequence,label\nACGT,0\nGGTT,1\n",
        b'name,"sequence",label\n"a, b",ACGT,"1\n2"\n',
        gzip.compress(b"label,sequence\n0,ACGT\n", mtime=0),
        bgzip(b"label,sequence\n0,ACGT\n"),
        b"\xef\xbb\xbfsequence,label\r\nACGT,0\r\n",
    )
    return Target(
        name="csv_rows",
        read=reader(Settings(format="csv")),
        seeds=seeds,
        suffix=".csv",
        generate=lambda random, size: make_rows(random, size, ","),
        oracle=compare_table(","),
        mutate=(packed(mutate_bytes),),
        weight=3,
    )


def tsv_rows(_: Path) -> Target:
    settings = Settings(format="auto", label_column=["label", "other"])
    seeds = (b"sequence\tlabel\tother\nACGT\t0\t1\nGGTT\t1\t0\n",)
    return Target(
        name="tsv_rows",
        read=reader(settings),
        seeds=(*seeds, seeds[0].decode().encode("utf-16")),
        suffix=".tsv",
        mutate=(packed(mutate_bytes),),
        weight=3,
    )


def make_fasta_rows(random: Random, size: int) -> bytes:
    """Return records whose headers end with |label."""
    lines = []
    for name in words(random, size):
        lines.append(f">{name} x|{random.choice(('0', '1', '-1', '1.5', 'pos', '2e3'))}")
        letters = sequence(random, random.randint(1, 100))
        lines += [letters[at : at + 60] for at in range(0, len(letters), 60)]
    return text_file("\n".join(lines) + "\n", random)


def compare_fasta_rows(path: Path, found: list[tuple[str, Any]]) -> str:
    """Return how pysam reads sequences and headers otherwise."""
    with pysam.FastxFile(str(path)) as file:
        wanted = [(one.sequence, one.comment.rsplit("|", 1)[1]) for one in file]
    return "" if found == wanted else f"{found!r:.500} is {wanted!r:.500}"


def fasta_rows(_: Path) -> Target:
    return Target(
        name="fasta_rows",
        read=reader(Settings(format="fasta", label_pattern=r"\|([^|]*)$")),
        seeds=(b">a|1\nACGT\nAC\n>b|0\nGG\n", b">a x|1.5\r\nACGT\r\n"),
        suffix=".fa",
        generate=make_fasta_rows,
        oracle=compare_fasta_rows,
        mutate=(packed(mutate_bytes),),
        weight=2,
    )


KINDS = {
    "int": (pa.int64(), lambda random: random.randrange(-3, 9)),
    "small": (pa.int8(), lambda random: random.randrange(2)),
    "float": (pa.float64(), lambda random: random.choice((0.5, 1.0, -2.25))),
    "text": (pa.string(), lambda random: random.choice(CELLS)),
    "bool": (pa.bool_(), lambda random: random.random() < 0.5),
    "list": (pa.list_(pa.int64()), lambda random: [random.randrange(2) for _ in range(3)]),
    "decimal": (pa.dictionary(pa.int32(), pa.string()), lambda random: random.choice("01")),
}


def make_parquet(random: Random, size: int) -> bytes:
    """Return a Parquet file with labels of a type."""
    kind, value = random.choice(list(KINDS.values()))
    rows, nulls = random.randint(1, 4 * size), random.random() < 0.2
    labels = [None if nulls and random.random() < 0.3 else value(random) for _ in range(rows)]
    columns = {
        "sequence": pa.array([sequence(random, random.randint(1, 50)) for _ in range(rows)]),
        "label": pa.array(labels, kind),
        word(random) + "_": pa.array(range(rows)),
    }
    names = list(columns)
    random.shuffle(names)
    made, file = pa.table({name: columns[name] for name in names}), io.BytesIO()
    if random.random() < 0.3:
        made = pa.Table.from_pandas(made.to_pandas())
    compression = random.choice(("snappy", "gzip", "zstd", "none"))
    pq.write_table(made, file, compression=compression, row_group_size=random.randint(1, 10))
    return file.getvalue()


def compare_parquet(path: Path, found: list[tuple[str, Any]]) -> str:
    """Return how pyarrow gives the values of the rows otherwise."""
    truth = pq.read_table(path).to_pylist()
    wanted = []
    for row in truth:
        label = row["label"]
        label = label if label is None or isinstance(label, list) else str(label)
        wanted.append((_known(row["sequence"]), label))
    same = [(a, _list(b)) for a, b in found] == [(a, _list(b)) for a, b in wanted]
    return "" if same else f"{found!r:.500} is {wanted!r:.500}"


def _list(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list) else value


def parquet_rows(_: Path) -> Target:
    return Target(
        name="parquet_rows",
        read=reader(Settings(format="parquet")),
        seeds=tuple(make_parquet(Random(seed), 2) for seed in range(12)),
        suffix=".parquet",
        generate=make_parquet,
        oracle=compare_parquet,
    )
