"""Random models of `transformers` with a tokenizer whose tokens are of unequal length."""

import random
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
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-pair tokenizer of DNA rich in A, so that it learns runs of it."""
    generator = random.Random(1)
    texts = ["".join(generator.choices("ACGT", [3, 1, 1, 1], k=300)) for _ in range(200)]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False)
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


def make_model(name: str, vocabulary: int):
    """Return a random model; big_bird's sparse attention has its least blocks."""
    torch.manual_seed(0)
    common = {"vocab_size": vocabulary, "max_position_embeddings": 600, **SIZES, **IDS}
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
    tokenizer = base_tokenizer() if name == "bert" else train_tokenizer()
    make_model(name, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
