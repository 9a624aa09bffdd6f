"""Which files of a repository hold a model's weights: one file, or an index and its parts.

The layout is that of `transformers`. Pickles are no weights here: opening one can run code.
"""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from dnalm.errors import InputError
from dnalm.files import read_json

SUFFIX, INDEX_SUFFIX = ".safetensors", ".safetensors.index.json"
WEIGHTS, INDEX = f"model{SUFFIX}", f"model{INDEX_SUFFIX}"
SETTINGS, VOCABULARY = "config.json", "vocab.txt"
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *(VOCABULARY, "vocab.json", "merges.txt", "tokenizer.model", "spiece.model"),
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
NO_PICKLE = "is a pickle, which can run code when it is opened, and is never read"


class MissingFileError(InputError):
    """Files that are needed are not there; `missing` are their names."""

    def __init__(self, sentence: str, missing: Iterable[str]) -> None:
        super().__init__(sentence)
        self.missing = list(missing)


def choose_weight_files(names: Collection[str], get: Callable[[str], Path]) -> list[str]:
    """Return the files that hold the weights among all `names` of a repository.

    They are model.safetensors; else an index, which comes first, and the parts that it names; else
    the only safetensors file. `get` returns the path of a file to read, here of an index.

    Raises:
        MissingFileError: there is none, or a part is missing.
        InputError: there are several, or the index is none.
    """
    top = sorted(name for name in names if "/" not in name)
    files = [name for name in top if name.endswith(SUFFIX)]
    indices = [name for name in top if name.endswith(INDEX_SUFFIX)]
    if WEIGHTS in files:
        return [WEIGHTS]
    if INDEX in indices or len(indices) == 1:
        index = INDEX if INDEX in indices else indices[0]
        parts = list_parts(get(index))
        if missing := [part for part in parts if part not in names]:
            raise MissingFileError(f"the part {missing[0]} that {index} names is missing", missing)
        return [index, *parts]
    if len(files) == 1:
        return files
    if files:
        raise InputError(f"which of {', '.join(files)} hold the weights is not known")
    raise MissingFileError("it has no safetensors file", [WEIGHTS])


def list_parts(index: str | Path) -> list[str]:
    """Return the files that an index names, in order; raise InputError where it is no index."""
    try:
        parts = sorted(set(read_json(index)["weight_map"].values()))
        names = [part for part in parts if Path(part).name == part and part.endswith(SUFFIX)]
    except (ValueError, KeyError, TypeError, AttributeError):
        parts, names = [], []
    if not names or names != parts:
        raise InputError(
            f"{index} has no weight_map that names a safetensors file for each tensor; get it again"
        )
    return names


def list_tokenizer_files(names: Iterable[str]) -> list[str]:
    """Return the files among `names` that describe a tokenizer of `transformers`, in order."""
    return sorted(name for name in names if name in TOKENIZER_FILES)
