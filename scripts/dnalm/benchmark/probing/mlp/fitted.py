"""A trained network of the MLP probe: its parameters as arrays, and its predictions.

Shapes: N rows, D features, C classes, labels or targets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dnalm.benchmark.probing.mlp.networks import CHUNK_ROWS, Networks, compute_logits
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.scoring.objectives import Scale, activate

WEIGHT, BIAS = "weight.", "bias."  # what the names of a layer's arrays begin with


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkModel:
    """The network of one split.

    `state` holds `weight.<i>` float32 [outputs, inputs] and `bias.<i>` [outputs] of every layer,
    `centre` float64 [D], `mean` and `inverse` float32 [D], by which features are standardised, and
    of a regression the scale of its targets.
    """

    kind: str
    activation: str
    state: Mapping[str, np.ndarray]

    @classmethod
    def load(
        cls, state: Mapping[str, np.ndarray], kind: str, selected: Mapping[str, Any]
    ) -> "NetworkModel":
        """Return the network whose `state` was kept; `selected` is what its probe chose."""
        return cls(kind=kind, activation=selected["activation"], state=state)

    @torch.inference_mode()
    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities float64 [N, C] of features [N, D]; of a regression the values."""
        state = {name: torch.from_numpy(array) for name, array in self.state.items()}
        numbers = range(sum(name.startswith(WEIGHT) for name in state))
        weights = [state[f"{WEIGHT}{i}"][None, None] for i in numbers]
        biases = [state[f"{BIAS}{i}"][None, None, :, None] for i in numbers]
        hidden = torch.tanh if self.activation == "tanh" else torch.relu
        # Step by step as in training, where float32 would round otherwise.
        centred = torch.from_numpy((features - self.state["centre"]).astype(np.float32))
        rows = ((centred - state["mean"]) * state["inverse"])[None]
        logits = [
            compute_logits(weights, biases, hidden, part)[0, 0].T
            for part in rows.split(CHUNK_ROWS, dim=1)
        ]
        found = activate(torch.cat(logits), self.kind).numpy()
        scale = Scale.load(state)
        return scale.restore(found) if scale else found


def take_models(networks: Networks, rows: SplitRows) -> dict[int, dict[str, np.ndarray]]:
    """Return the state of each split's `NetworkModel` by its fold, of networks of one trial."""
    layers = range(len(networks.weights))
    models = {}
    for number, split in enumerate(rows.splits):
        arrays = {
            **{f"{WEIGHT}{i}": networks.weights[i][number, 0] for i in layers},
            **{f"{BIAS}{i}": networks.biases[i][number, 0, :, 0] for i in layers},
            "mean": rows.means[number],
            "inverse": rows.inverse[number],
            **(rows.scales[number].state() if rows.scales else {}),
        }
        models[split.fold] = {
            "centre": np.asarray(rows.centre, dtype=np.float64),
            **{name: tensor.cpu().contiguous().numpy() for name, tensor in arrays.items()},
        }
    return models
