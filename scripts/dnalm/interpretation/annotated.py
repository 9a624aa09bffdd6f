"""An annotation in files: its windows, and a model's tokens and elements in them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.parquet import write_parquet
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.interpretation.elements import OF_TRANSCRIPTS, Elements, read_elements
from dnalm.interpretation.tokens import element_masks, tokens_of
from dnalm.interpretation.windows import list_pieces, sample_windows, tile_windows
from dnalm.suggestions import nearest

EACH, TILE = "each", "tile"
BATCH_TOKENS = 16_384

log = logging.getLogger(__name__)


def lay_windows(files: Mapping[str, str], settings: Mapping[str, Any], output: str | Path) -> None:
    """Write the windows of an annotation as Parquet: contig, start, end, element.

    `files` holds bases and contigs of the genome and, for windows around elements, what
    `read_annotation` reads.
    """
    genome = GenomeBases(files["bases"], files["contigs"])
    pieces = list_pieces(genome, settings["contigs"])
    if settings["windows"] == TILE:
        windows, left_out = tile_windows(genome, pieces, settings["bases"])
        log.info("%d windows in a row; %d with an N were left out", len(windows), left_out)
    else:
        elements = read_annotation(files, settings, pieces)
        windows, found = sample_windows(
            genome,
            pieces,
            elements,
            bases=settings["bases"],
            each=settings["each"],
            seed=settings["seed"],
        )
        for name, number in found.items():
            level = logging.WARNING if number < settings["each"] else logging.INFO
            log.log(level, "%s: %d of %d windows", name, number, settings["each"])
    write_parquet(windows, output, {"annotation": settings["annotation"]})
    log.info("%s: %d windows of %d bases", output, len(windows), settings["bases"])


def read_annotation(
    files: Mapping[str, str],
    settings: Mapping[str, Any],
    pieces: Mapping[str, tuple[int, int]],
) -> Elements:
    """Return the elements of an annotation that are asked for.

    Files of BED are named `bed.<element>`. Raises InputError for an element that no file gives.
    """
    beds = {
        name.removeprefix("bed."): path for name, path in files.items() if name.startswith("bed.")
    }
    elements = read_elements(files.get("transcripts"), beds, pieces)
    wanted = settings["elements"] or list(elements)
    for name in wanted:
        if name not in elements:
            raise InputError(
                f"annotations.{settings['annotation']}.elements: no file gives {name}"
                f"{nearest(name, [*elements, *OF_TRANSCRIPTS])}; name it in `bed`, or leave it out."
            )
    return {name: elements[name] for name in wanted}


class AnnotatedWindows:
    """The windows of an annotation on their genome, and the elements in them."""

    def __init__(self, files: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.files, self.settings = files, settings
        self.genome = GenomeBases(files["bases"], files["contigs"])
        self.windows = pd.read_parquet(files["windows"])

    def elements(self) -> Elements:
        """Return the elements on the contigs of the windows."""
        pieces = list_pieces(self.genome, list(dict.fromkeys(self.windows["contig"])))
        return read_annotation(self.files, self.settings, pieces)

    def name_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the names of annotation and model in its first columns."""
        names = {key: self.settings[key] for key in ("annotation", "model")}
        return table.assign(**names)[[*names, *table.columns]]


class Annotated(AnnotatedWindows):
    """A model of ours, the windows of an annotation in its tokens, and the elements in them."""

    def __init__(self, files: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Read all but the weights, which `open_encoder` loads."""
        from dnalm.model.loading import read_run

        super().__init__(files, settings)
        self.config, self.vocabulary = read_run(files["run"])
        self.tokens = tokens_of(self.windows, self.genome, self.vocabulary, self.config.max_tokens)

    def open_encoder(self) -> Any:
        """Return the encoder on the best device of this machine, ready for inference."""
        from dnalm.devices import best_device
        from dnalm.model.loading import load_model

        encoder, _ = load_model(self.files["run"], self.files["weights"])
        return encoder.to(best_device()).eval()

    def masks(self) -> list[dict[str, NDArray[np.bool_]]]:
        """Return for each window the masks of its tokens, without `<cls>`, by element."""
        return list(element_masks(self.windows, self.tokens, self.vocabulary, self.elements()))

    def batches(self, device: Any) -> Iterator[tuple[slice, Any]]:
        """Yield slices of the windows with their tokens on a device."""
        import torch

        columns = self.tokens.shape[1]
        size = max(1, BATCH_TOKENS // columns) if device.type == "cuda" else 1
        for start in range(0, len(self.tokens), size):
            rows = slice(start, start + size)
            yield rows, torch.from_numpy(self.tokens[rows]).to(device)
