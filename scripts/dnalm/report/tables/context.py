"""What models took from context: losses at the same masks in three surroundings, with intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig, bootstrap_means
from dnalm.report.tables.catalogue import list_columns
from dnalm.training.history import read_history

# Loss in one surrounding minus loss in another (`Evaluation.measure_context`).
GAINS = {
    "order": ("shuffled", "own"),
    "composition": ("foreign", "shuffled"),
    "context": ("foreign", "own"),
}
LOSSES = ("own", "tempered", "shuffled", "foreign")


def context_table(histories: Mapping[str, str], config: BootstrapConfig) -> pd.DataFrame:
    """Return one row per pretrained model: what tokens cost without the order of the others.

    Means over the <mask>s of the validation windows after the last step, in nats, with percentile
    intervals over windows. `histories` are by model; one of before this was measured gives a row
    without numbers.
    """
    rows = []
    for model, path in histories.items():
        lines = [line for line in read_history(path) if "validation_loss_mask" in line]
        if lines:
            rows.append({"model": model, **describe_context(lines[-1], config)})
    return pd.DataFrame(rows, columns=list_columns("context"))


def describe_context(line: Mapping[str, Any], config: BootstrapConfig) -> dict[str, Any]:
    """Return the columns of one model's row but its name, from its last line on held-out windows.

    What is missing in the line is missing in the row.
    """
    facts = {"step": line["step"], "accuracy": line.get("validation_accuracy_mask")}
    facts |= {"loss": line.get("validation_loss_mask")}
    facts |= {
        f"unigram_{key}": line.get(f"validation_unigram_{key}") for key in ("loss", "accuracy")
    }
    measured = line.get("validation_context") or {}
    windows = measured.get("windows") or {}
    if not windows.get("masked"):
        return facts
    sums = {name: np.array(windows[name]) for name in LOSSES if name in windows}
    gains = {
        name: sums[worse] - sums[better]
        for name, (worse, better) in GAINS.items()
        if worse in sums and better in sums
    }
    means, lows, highs = bootstrap_means(
        np.stack([*sums.values(), *gains.values()], axis=1), np.array(windows["masked"]), config
    )
    values = dict(zip([*sums, *gains], zip(means, lows, highs, strict=True), strict=True))
    facts |= {"windows": len(windows["masked"]), "masked": sum(windows["masked"])}
    facts["exponents"] = " and ".join(f"{own:g}" for own in sorted(set(measured["exponents"])))
    facts |= {f"{name}_loss": values[name][0] for name in sums if name != "own"}
    for name in gains:
        ends = ("gain", "low", "high")
        facts |= {f"{name}_{end}": own for end, own in zip(ends, values[name], strict=True)}
    return facts
