"""Integrity of a download without a checksum: web pages, empty files, truncated gzip files."""

from pathlib import Path

from dnalm.compression import GZIP_MAGIC, DamagedGzipError, is_truncated_bgzf, open_binary
from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES

# A vocab.txt begins with one of these special tokens, each alone on its line.
VOCABULARY_STARTS = (b"<unk>", b"<pad>", b"<mask>", b"<cls>", b"<bos>", b"<eos>")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_web_page(start: bytes) -> bool:
    """Return whether a file's first bytes are those of an HTML page or an XML error message.

    No sequence, table, archive or safetensors file begins with an angle bracket; a vocab.txt does.
    """
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    return text.startswith(b"<") and not text.startswith(VOCABULARY_STARTS)


def find_damage(path: str | Path) -> str | None:
    """Return what is wrong with an empty or truncated gzip file, None for any other file.

    A gzip file is decompressed to its end, which takes a few seconds per gigabyte.
    """
    with open(path, "rb") as file:
        start = file.read(len(GZIP_MAGIC))
        if not start:
            return "it is empty"
        if start != GZIP_MAGIC:
            return None
    if is_truncated_bgzf(path):
        return "the end mark of bgzip is missing"
    try:
        with open_binary(path) as unpacked:
            while unpacked.read(CHUNK_BYTES):
                pass
    except DamagedGzipError as error:
        return f"its gzip data is cut off or damaged ({error.fault})"
    except InputError:  # another file behind the end: whoever reads it says what to do
        return None
    return None
