"""How many bases of a window a model of the configuration reads."""

from collections.abc import Iterator, Mapping
from typing import Any

from dnalm.configuration.resolve import resolve_k, resolve_preset
from dnalm.configuration.weights import UNTRAINED


def find_too_long(config: Mapping[str, Any], model: str, key: str, bases: int) -> Iterator[str]:
    """Yield one sentence where a model of ours reads fewer than `bases`, the value of `key`.

    Of a model without a preset or corpus nothing is said: what it lacks is said of the model.
    """
    trained = model.removesuffix(UNTRAINED)
    described = config["models"][trained]
    corpus = described.get("corpus")
    if described.get("preset") not in config["model"]["presets"] or (
        corpus is not None and corpus not in config["corpora"]
    ):
        return
    most = resolve_k(config, trained) * (resolve_preset(config, trained)["max_tokens"] - 1)
    if bases > most:
        yield f"{key}: '{model}' reads {most:,} bases at most, not {bases:,}; lower it."
