"""What can be told of a download without its checksum: a page, nothing at all, half an archive."""

import zlib
from pathlib import Path

from isal import igzip

from dnalm.compression import GZIP_MAGIC, lacks_end
from dnalm.files import CHUNK_BYTES

# A list of tokens begins with one of these, each alone on its line.
TOKENS = (b"<unk>", b"<pad>", b"<mask>", b"<cls>", b"<bos>", b"<eos>")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_page(start: bytes) -> bool:
    """Return whether a file's first bytes are those of a web page or an error in XML.

    No sequence, table, archive or safetensors file begins with an angle bracket; a vocab.txt does.
    """
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    return text.startswith(b"<") and not text.startswith(TOKENS)


def find_damage(path: str | Path) -> str | None:
    """Return what is wrong with a file that is empty or a cut gzip file, None for any other.

    A gzip file is unpacked to its end, which takes a few seconds per gigabyte.
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
    return "the end mark of bgzip is missing" if lacks_end(path) else None
