"""Maps of the elements of an annotation, from files to files.

Shape letters: W windows, T tokens, D width.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_facts, write_json
from dnalm.interpretation.annotated import Annotated, AnnotatedWindows
from dnalm.interpretation.embedded_elements import embed_elements
from dnalm.interpretation.maps import MapConfig, check_rows, draw_map, match_gc
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress

log = logging.getLogger(__name__)


def map_elements(
    files: Mapping[str, Any], settings: Mapping[str, Any], outputs: Mapping[str, str | Path]
) -> None:
    """Write the map of every layer asked for: coordinates by window, and numbers beside them.

    The vector of a window is the mean of the states of its element's tokens, in the context of the
    window. `settings` of a model that is not ours say how its `embedder` is opened. Raises
    InputError for windows that are not laid around elements.
    """
    is_foreign = "described" in files
    annotated = (AnnotatedWindows if is_foreign else Annotated)(files, settings)
    names = annotated.windows["element"].to_numpy()
    if (names == "").any():
        raise InputError(
            f"annotations.{settings['annotation']}: a map is of windows around elements; set "
            "windows: each."
        )
    gc = np.array(
        [
            np.isin(read_codes(annotated.genome, row), (2, 3)).mean()
            for row in annotated.windows.itertuples(index=False)
        ]
    )
    rows, left_out = np.arange(len(names)), dict.fromkeys(sorted(set(names)), 0)
    if settings["match_gc"]:
        rows, left_out = match_gc(annotated.windows, gc, settings["seed"])
    dropped = sum(left_out.values())
    check_rows(names[rows].tolist(), settings["perplexity"], dropped)  # before the model is run
    if is_foreign:
        total = read_facts(files["described"], ("layers",))["layers"]
        layers = choose_layers(settings["layers"], total, least=1)
        vectors = embed_elements(annotated, settings["embedder"], layers)
    else:
        layers = choose_layers(settings["layers"], annotated.config.layers)
        vectors = _element_vectors(annotated, layers)
    config = MapConfig(
        components=settings["components"],
        perplexity=settings["perplexity"],
        neighbours=settings["neighbours"],
        penalties=settings["penalties"],
        seed=settings["seed"],
    )
    tables, facts = [], []
    kept = annotated.windows.iloc[rows].assign(gc=gc[rows])
    for layer in progress(layers, "draw maps", "layers"):
        drawn = draw_map(
            vectors[layer][rows],
            kept["element"].tolist(),
            kept["contig"].tolist(),
            kept["start"].tolist(),
            gc[rows],
            config,
        )
        tables.append(
            kept.assign(layer=layer, x=drawn.coordinates[:, 0], y=drawn.coordinates[:, 1])
        )
        numbers = {key: value for key, value in vars(drawn).items() if key != "coordinates"}
        facts.append({"layer": layer, **numbers})
    summary = {
        "annotation": settings["annotation"],
        "model": settings["model"],
        "windows": kept["element"].value_counts().to_dict(),
        "left_out_to_match_gc": left_out,
        "settings": {**vars(config), "match_gc": settings["match_gc"]},
        "layers": facts,
    }
    with atomic_path(outputs["coordinates"]) as temporary:
        annotated.name_rows(pd.concat(tables)).to_csv(temporary, sep="\t", index=False)
    write_json(outputs["summary"], json.loads(json.dumps(summary)))
    log.info("%s: maps of %d layers, %d windows", outputs["summary"], len(layers), len(kept))


def choose_layers(layers: Sequence[int | str], total: int, least: int = 0) -> list[int]:
    """Return the numbers of layers named first, middle, last, or by number from `least` on.

    Raises InputError for others.
    """
    named = {"first": 1, "middle": (total + 1) // 2, "last": total}
    chosen = [named.get(layer, layer) for layer in layers]
    wrong = [layer for layer in chosen if not isinstance(layer, int) or not least <= layer <= total]
    if wrong:
        raise InputError(
            f"maps.layers: {wrong[0]} is no layer of a model of {total}; give first, middle, last "
            f"or {least} to {total}."
        )
    return list(dict.fromkeys(chosen))


def _element_vectors(annotated: Annotated, layers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Return the mean states of each window's element, float32 [W, D], by layer."""
    import torch

    encoder = annotated.open_encoder()
    device, names = encoder.tokens.weight.device, annotated.windows["element"].to_numpy()
    masks = np.stack([own[name] for own, name in zip(annotated.masks(), names, strict=True)])
    shape = (len(masks), annotated.config.width)
    vectors = {layer: np.empty(shape, dtype=np.float32) for layer in layers}
    # An element shorter than half a token is in none: then the token in the middle stands for it.
    empty = ~masks.any(1)
    masks[empty, masks.shape[1] // 2] = True
    batches = progress(
        annotated.batches(device), "embed elements", "windows", len(masks), size=lambda p: len(p[1])
    )
    for rows, tokens in batches:
        weights = torch.from_numpy(masks[rows]).to(device).float()
        weights = weights / weights.sum(1, keepdim=True)
        with torch.inference_mode():
            for layer, states in encoder.compute_states_in_turn(tokens, layers, padded=False):
                pooled = torch.einsum("bt,btd->bd", weights, states[:, 1:].float())
                vectors[layer][rows] = pooled.cpu().numpy()
    return vectors
