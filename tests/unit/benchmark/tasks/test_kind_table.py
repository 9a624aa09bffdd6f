"""The table of kinds: what every row owes, and that the schema offers exactly its rows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dnalm.benchmark.scoring.metrics import loss, score
from dnalm.benchmark.scoring.objectives import ACTIVATIONS, LOSSES, activate, loss_of
from dnalm.benchmark.scoring.resampled_metrics import RESAMPLED
from dnalm.benchmark.tasks.kinds import (
    BASES,
    CLASS,
    COLUMNS,
    FLAG,
    KINDS,
    NUMBER,
    ROWS,
    SQUARED_ERROR,
    find_kind,
    kind_of_classes,
)
from dnalm.configuration import schema
from dnalm.errors import InputError
from dnalm.report.metric_names import NAMES, WORDS

ROOT = Path(__file__).parents[4]
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
CELLS = {
    (ROWS, CLASS): [0, 1, 1, 0],
    (COLUMNS, FLAG): [[0, 1], [1, 1], [1, 0], [0, 0]],
    (COLUMNS, NUMBER): [[0.5, 1.0], [1.5, -2.0], [2.5, 0.0], [0.0, 3.0]],
    (BASES, CLASS): [[0, 1, 1], [1, 0], [0, 0, 0], [1, 1, 0]],
}


def test_the_schema_offers_the_kinds_and_metrics_of_the_table_and_no_other():
    assert SCHEMA["$defs"]["task"]["properties"]["kind"] == {"$ref": "#/$defs/kind"}
    assert SCHEMA["$defs"]["kind"]["enum"] == [kind.name for kind in KINDS]
    offered = {metric for kind in KINDS if kind.one_class for metric in kind.metrics}
    for section in ("probe", "mlp"):
        properties = SCHEMA["properties"][section]["properties"]
        assert properties["metric"] == {"$ref": "#/$defs/metric"}
    assert set(SCHEMA["$defs"]["metric"]["enum"]) == offered | {None}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_learned_decided_scored_and_named(kind):
    assert kind.loss in LOSSES
    assert kind.activation in ACTIVATIONS
    assert (kind.headline in RESAMPLED) == kind.pooled  # bases: `bootstrap_parts`, from files
    assert kind.headline in WORDS
    assert set(kind.metrics) <= set(NAMES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_outputs_that_say_the_labels_have_no_loss_and_decide_for_them(kind):
    cells, classes = CELLS[kind.shape, kind.value], max(2, kind.min_classes)
    labels = kind.stack([*cells, classes - 1] if kind.one_class else cells)
    if kind.loss == SQUARED_ERROR:
        logits = torch.from_numpy(labels)
    elif kind.value == FLAG:
        logits = torch.from_numpy(labels * 200.0 - 100)
    else:
        logits = torch.nn.functional.one_hot(torch.from_numpy(labels).clamp(min=0).long(), classes)
        logits = 200.0 * logits - 100
    outputs = activate(logits, kind.name).numpy()
    known = labels >= 0 if kind.shape == BASES else np.ones_like(labels, dtype=bool)
    assert (kind.decide(outputs) == labels)[known].all()
    assert float(loss_of(logits, labels, kind.name)) == pytest.approx(0, abs=1e-9)
    if kind.pooled:
        assert loss(labels, outputs, kind.name) == pytest.approx(0, abs=1e-9)
    best = score(labels, kind.decide(outputs), outputs, kind.name)
    assert best[kind.headline] == pytest.approx(1)
    assert list(best) == list(kind.metrics)
    assert len(kind.strata(labels)) == len(labels)
    assert kind.varying(labels).all()
    assert len(kind.count(labels, classes)) == classes


def test_a_number_of_classes_has_one_kind():
    assert [kind_of_classes(number).name for number in (None, 2, 3, 9)] == [
        *["binary", "binary", "multiclass", "multiclass"]
    ]


def test_an_unknown_kind_is_named_with_the_known_ones_the_nearest_first():
    sentence = r"^kind: 'multilable' is not allowed; choose one of multilabel, "
    with pytest.raises(InputError, match=sentence):
        find_kind("multilable")
