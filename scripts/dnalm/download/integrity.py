"""Integrity of a download without a checksum: web pages, empty files, truncated gzip files."""

import zlib
from pathlib import Path

from isal import igzip

from dnalm.compression import GZIP_MAGIC, is_truncated_bgzf
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
        file.seek(0)
        try:
            with igzip.open(file) as unpacked:
                while unpacked.read(CHUNK_BYTES):
                    pass
        except (EOFError, igzip.BadGzipFile, zlib.error, igzip.isal_zlib.error) as error:
            return f"its gzip data is cut off or damaged ({error})"
    return "the end mark of bgzip is missing" if is_truncated_bgzf(path) else None
