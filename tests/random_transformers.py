"""Random models of `transformers` with a tokenizer whose tokens are of unequal length.

`random_transformers.py FOLDER FASTA` saves a modernbert, whose tokens are learned from the FASTA
file, and a bert of single bases, for tests/real_embedders.yaml.
"""

import gzip
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BigBirdConfig,
    BigBirdForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LARGER = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}


def draw_texts() -> list[str]:
    """Return DNA rich in A, so that a tokenizer learns runs of it."""
    generator = random.Random(1)
    return ["".join(generator.choices("ACGT", [3, 1, 1, 1], k=300)) for _ in range(200)]


def train_tokenizer(texts: Sequence[str], size: int = 80) -> PreTrainedTokenizerFast:
    """Return a byte-pair tokenizer of texts of DNA with so many tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _wrap(tokenizer)


def base_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of which every base is a token."""
    ids = {name: number for number, name in enumerate([*SPECIAL, *"ACGTN"])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return _wrap(tokenizer)


def _wrap(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, SPECIAL, strict=True))
    )


def make_model(name: str, vocabulary: int, sizes=SIZES, most: int = 600):
    """Return a random model; big_bird's sparse attention has its least blocks."""
    torch.manual_seed(0)
    common = {"vocab_size": vocabulary, "max_position_embeddings": most, **sizes, **IDS}
    if name == "modernbert":
        config = ModernBertConfig(num_hidden_layers=3, local_attention=16, cls_token_id=2, **common)
        return ModernBertForMaskedLM(config)
    if name == "bert":
        return BertForMaskedLM(BertConfig(num_hidden_layers=2, **common))
    if name == "big_bird":
        config = BigBirdConfig(num_hidden_layers=2, block_size=4, num_random_blocks=1, **common)
        return BigBirdForMaskedLM(config)
    if name == "esm":
        common |= {"mask_token_id": 4, "position_embedding_type": "absolute"}
        return EsmForMaskedLM(EsmConfig(num_hidden_layers=2, **common))
    return LlamaModel(LlamaConfig(num_hidden_layers=2, **common))


def save_model(name: str, folder: Path) -> None:
    """Save a random model of an architecture in a folder, with a tokenizer: of bert's of bases."""
    tokenizer = base_tokenizer() if name == "bert" else train_tokenizer(draw_texts())
    save_short(name, folder, tokenizer, 600)


def save_short(name: str, folder: Path, tokenizer: PreTrainedTokenizerFast, most: int) -> None:
    """Save a random model with this tokenizer, and positions for so many tokens."""
    make_model(name, len(tokenizer), most=most).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class KmerBert:
    """A random bert of all k-mers of a sequence, which overlap, as those of DNABERT do."""

    layers, width, max_bases, weights = 2, SIZES["hidden_size"], None, ()

    def __init__(self, k: int, max_tokens: int) -> None:
        torch.manual_seed(0)
        config = {"vocab_size": len(SPECIAL) + 4**k, "max_position_embeddings": max_tokens}
        config = BertConfig(num_hidden_layers=self.layers, **config, **SIZES, **IDS)
        self.model = BertModel(config).eval().requires_grad_(False)
        self.k, self.max_tokens = k, max_tokens

    def count_tokens(self, sequences: Sequence[str]) -> list[int]:
        return [len(sequence) - self.k + 3 for sequence in sequences]

    def make_ids(self, sequence: str) -> list[int]:
        """Return [CLS], the numbers of the k-mers, [SEP]; k-mers with an N are unknown."""
        words = [sequence[at : at + self.k] for at in range(len(sequence) - self.k + 1)]
        digits = str.maketrans("ACGT", "0123")
        known = [0 if "N" in word else int(word.translate(digits), 4) for word in words]
        return [2, *(1 if "N" in w else 5 + n for w, n in zip(words, known, strict=True)), 3]

    def embed(self, sequences: Sequence[str]) -> list[tuple[torch.Tensor, np.ndarray]]:
        found = []
        for sequence in sequences:
            starts = np.arange(len(sequence) - self.k + 1)
            spans = np.stack([starts, starts + self.k], axis=1)
            ids = torch.tensor([self.make_ids(sequence)])
            states = self.model(ids, output_hidden_states=True).hidden_states[1:]
            found.append((torch.cat(states), np.pad(spans, ((1, 1), (0, 0)), constant_values=-1)))
        return found


def open_kmers(device: str, k: int = 6, max_tokens: int = 512) -> KmerBert:
    return KmerBert(k, max_tokens)


def save_larger(folder: Path, fasta: Path) -> None:
    """Save what tests/real_embedders.yaml names, unless it is there."""
    with gzip.open(fasta, "rt") as file:
        lines = [line.strip().upper() for line in file if line[0] != ">"]
    texts = [text for text in ("".join(lines[at : at + 5]) for at in range(0, 5000, 5)) if text]
    for name, make in {
        "modernbert": lambda: train_tokenizer(texts, 512),
        "bert": base_tokenizer,
    }.items():
        if not (folder / name / "tokenizer.json").exists():
            tokenizer = make()
            make_model(name, len(tokenizer), LARGER, 1024).save_pretrained(folder / name)
            tokenizer.save_pretrained(folder / name)


if __name__ == "__main__":
    save_larger(Path(sys.argv[1]), Path(sys.argv[2]))
