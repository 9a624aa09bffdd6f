"""Labels of all kinds of tasks, and whole tables of tasks made of files."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

from dnalm.benchmark.tasks.kinds import BY_NAME
from dnalm.benchmark.tasks.label_cells import infer_kind, read_label
from dnalm.benchmark.tasks.row_cleaning import clean_rows
from dnalm.benchmark.tasks.row_files import LabelledRow
from dnalm.benchmark.tasks.table import make_task, read_task, write_task
from fuzz.mutations import TOKENS, mutate_bytes
from fuzz.odd_values import mutate_json
from fuzz.target import Target
from fuzz.targets.making import sequence, table

ROOT = Path(__file__).parents[3]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
TEXTS = [token.decode("utf-8", "replace") for token in TOKENS if len(token) < 500]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    kind: str | None
    classes: int | None
    labels: dict[str, int] | None = None
    label_separator: str | None = None
    missing_labels: str | None = None
    other_letters: str | None = None
    min_bases: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def _case(random: Random, size: int) -> dict[str, Any]:
    """Return rows of labels of a kind, with what has to be read of them."""
    kind = random.choice(list(BY_NAME))
    classes = {"binary": 2, "multiclass": random.randint(3, 9)}.get(kind, random.randint(2, 6))
    separator = random.choice((",", " ", ";", None))
    rows, wanted = [], []
    for _ in range(size):
        letters = sequence(random, random.randint(1, 12), "ACGT")
        if kind == "regression":
            separator = separator or ","
            values = [random.choice((0, 1.5, -2, 1e-5, 3e20)) for _ in range(classes)]
        elif kind == "multilabel":
            values = [random.randrange(2) for _ in range(classes)]
        elif kind == "per_base":
            values = [random.randrange(classes) for _ in letters]
        else:
            values = [random.randrange(classes)]
        text = (separator or "").join(map(str, values))
        rows.append([letters, text if len(values) == 1 or random.random() < 0.7 else f"[{text}]"])
        wanted.append([float(value) for value in values])
    return {
        "kind": kind,
        "classes": classes,
        "separator": separator,
        "rows": rows,
        "wanted": wanted,
    }


def read_cells(path: Path, _: Path) -> list[Any]:
    """Return the labels of the rows of a case, after they were cleaned."""
    case = json.loads(path.read_text())
    meaning = Meaning(kind=case["kind"], classes=case["classes"], label_separator=case["separator"])
    rows = [
        LabelledRow(
            sequence=str(letters), label=label, split="train", provenance=f"{path.name}, row 1"
        )
        for letters, label in case["rows"]
    ]
    cleaned = clean_rows(rows, meaning, "mine.x")
    facts = infer_kind(cleaned.rows, meaning, "mine.x")
    told = Meaning(label_separator=case["separator"], **facts)
    return [
        read_label(row, letters, told)
        for row, letters in zip(cleaned.rows, cleaned.sequences, strict=True)
    ]


def compare_cells(path: Path, found: list[Any]) -> str:
    """Return which label is not the one that was written."""
    wanted = json.loads(path.read_text())["wanted"]
    for one, other in zip(found, wanted, strict=True):
        if np.atleast_1d(one).astype(float).tolist() != other:
            return f"{one!r} is {other!r}"
    return ""


def mutate_cells(data: bytes, random: Random) -> bytes:
    """Return a case with other labels, letters, kind or separator."""
    case = json.loads(data)
    for _ in range(random.randint(1, 3)):
        row = random.choice(case["rows"])
        column = random.random() < 0.8
        text = str(row[column])
        match random.randrange(8):
            case 0:
                case["kind"] = random.choice([*BY_NAME, None])
            case 1:
                case["separator"] = random.choice((",", " ", ";", None, "|", "\t", ", "))
            case 2:
                case["classes"] = random.choice((1, 2, 3, 5, 1000, None))
            case 3:
                row[column] = random.choice(TEXTS)
            case 4:
                row[1] = random.choice((None, [1, 0], [None, 1], [0.5], [], ["a"], [float("nan")]))
            case 5:
                at = random.randrange(len(text) + 1)
                row[column] = text[:at] + random.choice(TEXTS) + text[at:]
            case _:
                row[column] = mutate_bytes(text.encode(), random).decode("utf-8", "replace")
    return json.dumps(case).encode()


def label_cells(_: Path) -> Target:
    def generate(random: Random, size: int) -> bytes:
        return json.dumps(_case(random, size)).encode()

    def read(path: Path, out: Path) -> list[Any]:
        case = json.loads(path.read_text())
        kind, classes = case["kind"], case["classes"]
        if classes is not None and kind is not None and not BY_NAME[kind].allows(classes):
            return []  # which the configuration refuses
        return read_cells(path, out)

    return Target(
        name="label_cells",
        read=read,
        seeds=tuple(generate(Random(seed), 3) for seed in range(9)),
        suffix=".json",
        generate=generate,
        oracle=compare_cells,
        mutate=(mutate_cells,),
        one_file=False,
        spliced=False,
        weight=8,
    )


def _table_text(random: Random, rows: int) -> str:
    values = [
        [
            sequence(random, random.randint(12, 40), "ACGT"),
            str(row % 2),
            str(row % 3),
            f"{row / 7:.3f}",
        ]
        for row in range(rows)
    ]
    return table(["sequence", "label", "three", "number"], values, ",", random)


TASKS = (
    {"kind": "binary", "classes": 2, "test_share": 0.3},
    {"test_share": 0.5},
    {"kind": "multiclass", "classes": 3, "label_column": "three", "test_share": 0.3},
    {"kind": "regression", "classes": 1, "label_column": "number", "test_share": 0.3},
    {"kind": "multilabel", "classes": 2, "label_column": ["label", "label_"], "test_share": 0.2},
    {
        "labels": {"0": 1, "1": 0},
        "test_share": 0.3,
        "missing_labels": "drop",
        "other_letters": "mask",
    },
    {"shuffle_labels": True, "test_share": 0.3, "min_bases": 6, "other_letters": "drop"},
)


def read_table(path: Path, out: Path) -> Any:
    """Return the table of a task whose file has the task's settings in its first line."""
    head, _, text = path.read_bytes().partition(b"\n")
    try:
        own = TASKS[int(head) % len(TASKS)]
    except ValueError:
        own = TASKS[0]
    source = path.with_suffix(".csv")
    source.write_bytes(text)
    task = {**SHIPPED["task"], "format": "csv", **own}
    folds = {**SHIPPED["cross_validation"], "splits": 3}
    made, summary = make_task({"train": [str(source)], "test": []}, task, "mine.x", folds)
    write_task(made, summary, str(out / "t.parquet"), str(out / "t.json"))
    back = read_task(str(out / "t.parquet"))
    assert back["sequence"].tolist() == made["sequence"].tolist()
    return made


def make_table(random: Random, size: int) -> bytes:
    """Return a table that any of the settings can read."""
    number = random.choice((0, 1, 2, 3, 5))
    return f"{number}\n{_table_text(random, 12 + size)}".encode()


def task_table(_: Path) -> Target:
    return Target(
        name="task_table",
        read=read_table,
        seeds=tuple(make_table(Random(seed), 8) for seed in range(6)),
        suffix=".csv_task",
        generate=make_table,
        oracle=compare_table,
        one_file=False,
        weight=2,
    )


def compare_table(path: Path, found: Any) -> str:
    """Return where sequences of a table are not those of the file, in any order."""
    lines = path.read_text().splitlines()[2:]
    wanted = sorted(line.split(",")[0].strip('"') for line in lines)
    return "" if sorted(found["sequence"]) == wanted else "other sequences"


def task_files(_: Path) -> Target:
    """Two files of FASTA rows, train and test, apart at a line of dashes, and settings before."""

    def generate(random: Random, size: int) -> bytes:
        settings = {"classes": 2, "kind": random.choice(("binary", None))}
        parts = [json.dumps(settings)]
        for rows in (12 + size, 4 + size):
            parts.append(
                "".join(f">r|{row % 2}\n{sequence(random, 20, 'ACGT')}\n" for row in range(rows))
            )
        return "\n----\n".join(parts).encode()

    def read(path: Path, out: Path) -> Any:
        head, *texts = path.read_bytes().split(b"\n----\n")
        files = []
        for number, text in enumerate(([*texts, b"", b""])[:2]):
            files.append(path.with_name(f"part{number}.fa"))
            files[-1].write_bytes(text)
        try:
            own = json.loads(head)
        except ValueError:
            own = {}
        keys = {"kind", "classes"} if isinstance(own, dict) else ()
        own = {key: own[key] for key in keys if key in own and own[key] in (None, 2, 3, "binary")}
        task = {**SHIPPED["task"], "format": "fasta", "label_pattern": r"\|(\S+)", **own}
        folds = {**SHIPPED["cross_validation"], "splits": 3}
        sources = {"train": [str(files[0])], "test": [str(files[1])]}
        return len(make_task(sources, task, "mine.x", folds)[0])

    return Target(
        name="task_files",
        read=read,
        seeds=tuple(generate(Random(seed), 3) for seed in range(4)),
        suffix=".task",
        generate=generate,
        one_file=False,
        mutate=(mutate_bytes, mutate_bytes, mutate_json()),
    )
