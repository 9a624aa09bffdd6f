"""The functions that people call, with arguments of all kinds."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from dnalm import interface
from dnalm.genome.kmers import Vocabulary
from fuzz.odd_values import dump, load, odd
from fuzz.target import Target
from fuzz.targets.making import sequence
from fuzz.targets.models import small_model
from fuzz.targets.results import tuned

TEXTS = (
    "ACGT",
    "acgtn",
    "AC GT",
    "",
    "N",
    "U",
    "ACGTß",
    "AC-T",
    "A" * 400,
    "\n",
    "ACGT\n",
    "²",
    "🧬",
)
OPTIONS: dict[str, tuple[Any, ...]] = {
    "other_letters": ("mask", "refuse"),
    "k": (1, 2, 3, 6, 7),
    "vocabulary": ("v1", "v2"),
    "layers": ("all", 1, 2, [0], [1, 2], [0, 2]),
    "pooling": ("mean", "cls", "centre"),
    "centre_bases": (1, 4, 24),
    "folds": (None, [0], [1, 0]),
}


def _rows(random: Random) -> Any:
    if random.random() < 0.1:
        return odd(random)
    rows = [
        random.choice(TEXTS) if random.random() < 0.3 else sequence(random, random.randint(1, 30))
        for _ in range(random.randint(0, 4))
    ]
    return [*rows, odd(random)] if random.random() < 0.1 else rows


def _calls(names: tuple[str, ...]) -> Any:
    def generate(random: Random, _: int = 1) -> bytes:
        options = {}
        for name in names:
            if random.random() < 0.4:
                usual = random.random() < 0.8
                options[name] = random.choice(OPTIONS[name]) if usual else odd(random)
        return dump({"rows": _rows(random), "options": options})

    return generate


def _target(name: str, names: tuple[str, ...], call: Any, oracle: Any, weight: float) -> Target:
    generate = _calls(names)

    def read(path: Path, _: Path) -> Any:
        case = load(path.read_bytes())
        if not isinstance(case, dict) or not isinstance(case.get("options"), dict):
            return None
        options = {key: value for key, value in case["options"].items() if key in names}
        return call(case.get("rows"), **options)

    seeds = tuple(dump({"rows": ["ACGTAC", "TTTTNACGT"], "options": {}}) for _ in range(1))
    return Target(
        name=name,
        read=read,
        seeds=seeds,
        suffix=".json",
        mutate=(lambda _, random: generate(random),),
        oracle=oracle,
        always=True,
        one_file=False,
        spliced=False,
        weight=weight,
    )


def tokenize(folder: Path) -> Target:
    from transformers import EsmTokenizer

    peers = {}
    for version in ("v1", "v2"):
        for k in (2, 3, 6):
            path = folder / f"{version}-{k}.txt"
            path.write_text("\n".join(Vocabulary(k, version).tokens()))
            peers[k, version] = EsmTokenizer(str(path), eos_token=None)

    def compare(path: Path, found: list[np.ndarray]) -> str:
        case = json.loads(path.read_text())
        options, rows = case["options"], case["rows"]
        peer = peers.get((options.get("k", 6), options.get("vocabulary", "v2")))
        if peer is None or options.get("other_letters") == "mask" or not rows:
            return ""
        plain = [row.strip().upper() for row in rows]
        if any(set(row) - set("ACGTN") for row in plain):
            return ""
        wanted = peer(plain)["input_ids"]
        same = [ids.tolist() for ids in found] == wanted
        return "" if same else f"{found!r:.300} is {wanted!r:.300}"

    names = ("other_letters", "k", "vocabulary")
    return _target("tokenize", names, interface.tokenize, compare, 2)


def embed(folder: Path) -> Target:
    model = interface.load_model(small_model(folder))

    def call(rows: Any, **options: Any) -> Any:
        found = interface.embed(model, rows, **options)
        interface.predict_masked(model, rows[0]) if rows else None
        return found

    names = ("other_letters", "layers", "pooling", "centre_bases")

    def compare(path: Path, found: Any) -> str:
        finite = all(np.isfinite(array).all() for array in (found or {}).values())
        return "" if finite else "a state is not finite"

    return _target("embed", names, call, compare, 1.5)


def predict(folder: Path) -> Target:
    model = small_model(folder)
    tuned(model, folder / "adapters.safetensors")
    classifier = interface.load_classifier(interface.load_model(model), folder)

    def call(rows: Any, **options: Any) -> Any:
        return interface.predict(classifier, rows, **options)

    def compare(_: Path, found: Any) -> str:
        sums = np.asarray(found).sum(axis=-1) if found is not None else np.ones(1)
        return "" if np.allclose(sums, 1) else f"probabilities sum to {sums}"

    return _target("predict", ("other_letters", "folds"), call, compare, 1.5)
