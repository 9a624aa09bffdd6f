"""Random models of `transformers` with a tokenizer whose tokens are of unequal length.

`random_transformers.py FOLDER FASTA` saves a modernbert, whose tokens are learned from the FASTA
file, and a bert of single bases, for tests/real_embedders.yaml.
"""

import gzip
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BigBirdConfig,
    BigBirdForMaskedLM,
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
    return LlamaModel(LlamaConfig(num_hidden_layers=2, **common))


def save_model(name: str, folder: Path) -> None:
    """Save a random model of an architecture in a folder, with a tokenizer: of bert's of bases."""
    tokenizer = base_tokenizer() if name == "bert" else train_tokenizer(draw_texts())
    make_model(name, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
