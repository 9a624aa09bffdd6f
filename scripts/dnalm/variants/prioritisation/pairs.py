"""Windows of both alleles of labelled variants as rows of a fine-tuning, by groups of chromosomes.

A fold is a group: the model that scores its variants has been trained on other chromosomes, and its
step chosen on others again. Letters in shapes: V variants, B batch, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch

from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.task_data import FoldData, TaskData
from dnalm.benchmark.scoring.objectives import weigh_classes
from dnalm.benchmark.tasks.kinds import BINARY
from dnalm.benchmark.tasks.splits import Split
from dnalm.devices import device_of, send
from dnalm.errors import InputError
from dnalm.files import read_facts
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, encode
from dnalm.jobs.partial import hash_array
from dnalm.jobs.progress import progress
from dnalm.model.heads import PairClassifier
from dnalm.model.loading import read_run
from dnalm.model.token_batches import TokenRows, limit_tokens
from dnalm.variants.alleles import Allele
from dnalm.variants.prioritisation.allele_tables import plain_contig
from dnalm.variants.prioritisation.supervised import check_held_out, deal_to_groups
from dnalm.variants.records import ContigNames, Row, find_reason
from dnalm.variants.windows import BOTH, FORWARD, WindowConfig, Windows

AUC = "auc"  # by which the step is chosen: the labels' shares differ between groups
CLASSES = 2
STANDARDISED = 128  # pairs at most, whose vectors give the mean and deviation of features
VALIDATED = 10  # where no chromosome is left to choose on: the last of so many parts of each
BOTH_ALLELES = 2
FEWEST = 2  # groups: one is trained on, and one scored


@dataclass(frozen=True, kw_only=True)
class PairFinetuning(Finetuning):
    """All that a process needs to train on the variants of a labels.parquet, `table`.

    `bases`, `contigs` and `manifest` are the files of the genome, `genome_windows` which windows
    are read of it, `contig_names` how it is named, `groups` how many groups of chromosomes there
    are, `usable` the rows of the table that have a label and windows, int [V].
    """

    bases: str
    contigs: str
    manifest: str
    genome_windows: WindowConfig
    contig_names: str | Mapping[str, str]
    groups: int
    usable: np.ndarray

    @property
    def metric(self) -> str:
        return AUC

    @property
    def joinable(self) -> bool:
        return False

    def head(self) -> dict[str, Any]:
        return super().head() | {"pairs": True}

    def open_windows(self) -> Windows:
        """Return what makes the windows of alleles: the first of each, where they have several."""
        vocabulary = read_run(self.run)[1]
        return Windows(GenomeBases(self.bases, self.contigs), vocabulary, self.genome_windows)

    def facts(self) -> dict[str, Any]:
        windows = {
            "genome": read_facts(self.manifest, ("sha256",)),
            "windows": asdict(self.genome_windows),
            "contig_names": self.contig_names,
            "groups": self.groups,
            "usable": hash_array(self.usable),
        }
        return super().facts() | windows


def choose_windows(config: WindowConfig) -> WindowConfig:
    """Return windows of which each allele has one pair: one frame, and of both strands forward."""
    strands = FORWARD if config.strands == BOTH else config.strands
    return replace(config, frames=1, strands=strands)


def find_usable(
    variants: pd.DataFrame, windows: Windows, contig_names: str | Mapping[str, str]
) -> np.ndarray:
    """Return the rows of labelled variants that can be read, int64 [V], ascending."""
    names = ContigNames(contig_names, windows)
    known = np.flatnonzero(variants["label"].notna().to_numpy())
    rows = _to_rows(variants.iloc[known])
    readable = [
        find_reason(row, names.find(row.contig), windows) is None
        for row in progress(rows, "look up", "variants")
    ]
    return known[np.array(readable, dtype=bool)]


def _to_rows(variants: pd.DataFrame) -> list[Row]:
    return [
        Row(
            record=number,
            number=0,
            contig=own.chrom,
            position=int(own.pos),
            id=own.id,
            reference=own.ref,
            alternative=own.alt,
        )
        for number, own in enumerate(variants.itertuples(index=False))
    ]


class PairRows(TokenRows):
    """Windows of both alleles, read from the genome as batches need them: few are in memory.

    `lengths` int64 [V] are the tokens of both together.
    """

    def __init__(self, alleles: Sequence[Allele], windows: Windows) -> None:
        self._alleles, self._windows = list(alleles), windows
        self._pad = windows.vocabulary.pad
        longest = [windows.count_tokens(one) for one in progress(alleles, "measure", "variants")]
        self.lengths = BOTH_ALLELES * np.array(longest, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._alleles)

    def batch(self, rows: Sequence[int] | np.ndarray) -> tuple[torch.Tensor, bool]:
        """Return the tokens of references, then of alternatives, int64 [2 B, T], and any pad."""
        pairs = [next(self._windows.make(self._alleles[row])) for row in rows]
        codes = chain([one.reference for one in pairs], [one.alternative for one in pairs])
        read = [encode(one, self._windows.vocabulary) for one in codes]
        tokens = np.full((len(read), max(map(len, read))), self._pad, dtype=np.int64)
        for place, own in enumerate(read):
            tokens[place, : len(own)] = own
        return torch.from_numpy(tokens), any(len(own) < tokens.shape[1] for own in read)

    def count_tokens(self, rows: Sequence[int] | np.ndarray) -> int:
        return super().count_tokens(rows) // BOTH_ALLELES

    def count_bases(self, rows: Sequence[int] | np.ndarray) -> int:
        return self._windows.config.bases


class PairData(TaskData):
    """Labelled variants as rows of a fine-tuning: numbers of rows count those that are usable.

    Raises InputError for fewer chromosomes than groups, and where the variants that a group is
    trained on, or chosen by, have labels of one class.
    """

    windows = BOTH_ALLELES

    def __init__(self, finetuning: PairFinetuning, vocabulary: Vocabulary, max_tokens: int) -> None:
        self.finetuning, self.kind = finetuning, BINARY
        table = pd.read_parquet(finetuning.table).iloc[finetuning.usable]
        self.labels = table["label"].to_numpy(dtype=np.int64)
        self.positions = table["pos"].to_numpy(dtype=np.int64)
        self.contigs = table["chrom"].map(plain_contig).to_numpy(dtype=str)
        self.groups = deal_to_groups(self.contigs, finetuning.groups)
        windows = finetuning.open_windows()
        names = ContigNames(finetuning.contig_names, windows)
        alleles = [row.to_allele(names.find(row.contig)) for row in _to_rows(table)]
        self.rows = PairRows(alleles, windows)

    @staticmethod
    def list_folds(finetuning: PairFinetuning) -> list[int]:
        return list(range(finetuning.groups))

    def test_rows(self, fold: int) -> np.ndarray:
        """Return the variants of the group, whose chromosomes training has not seen."""
        return np.flatnonzero(self.groups == fold)

    def prepare(self, classifier: PairClassifier, fold: FoldData) -> None:
        """Standardise the features of both alleles by some of the training rows, untrained."""
        training = fold.split.training
        some = training[:: -(-len(training) // STANDARDISED)]
        device = device_of(classifier.encoder)
        found = []
        size = limit_tokens(self.finetuning.batch_tokens, device)
        with torch.no_grad():
            for batch in self.rows.by_length(some, size):
                tokens, padded = self.rows.batch(batch)
                found.append(classifier.compare(send(tokens, device), padded=padded))
            classifier.output.standardise(torch.cat(found))

    def fold(self, fold: int) -> FoldData:
        held_out = self.groups == fold
        check_held_out(self.labels, self.contigs, held_out)
        validation = self._choose_validation(fold)
        training = ~held_out & ~validation
        for rows, what in ((training, "trained on"), (validation, "chosen by")):
            if len(np.unique(self.labels[rows])) < CLASSES:
                where = ", ".join(sorted(set(self.contigs[rows])))
                raise InputError(
                    f"finetune: the variants of the chromosomes {where}, which the model of group "
                    f"{fold} is {what}, have one label; lower supervised.groups."
                )
        config = self.finetuning.config
        weights = weigh_classes(config.class_weights, self.labels[training], BINARY.name, CLASSES)
        split = Split(
            fold=fold, training=np.flatnonzero(training), validation=np.flatnonzero(validation)
        )
        return FoldData(split=split, labels=self.labels, scale=None, weights=weights, bins=None)

    def _choose_validation(self, fold: int) -> np.ndarray:
        """Return which variants choose the step, bool [V]: those of the next group.

        Of two groups there is none left: the last tenth of each chromosome that is trained on.
        """
        groups = self.finetuning.groups
        if groups > FEWEST:
            return self.groups == (fold + 1) % groups
        chosen = np.zeros(len(self.groups), dtype=bool)
        for contig in np.unique(self.contigs[self.groups != fold]):
            rows = np.flatnonzero(self.contigs == contig)
            order = rows[np.argsort(self.positions[rows], kind="stable")]
            chosen[order[len(order) - len(order) // VALIDATED :]] = True
        return chosen
