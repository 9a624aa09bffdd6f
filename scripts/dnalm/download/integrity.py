"""Integrity of a download without a checksum: web pages, empty files, truncated gzip files.

And files that are not what their names promise: FASTA, gzip, a table, safetensors, Parquet.
"""

from pathlib import Path, PurePosixPath

from dnalm.download.compression import GZIP_MAGIC, DamagedGzipError, is_truncated_bgzf, open_binary
from dnalm.errors import InputError
from dnalm.files import CHUNK_BYTES

# A vocab.txt begins with one of these special tokens, each alone on its line.
VOCABULARY_STARTS = (b"<unk>", b"<pad>", b"<mask>", b"<cls>", b"<bos>", b"<eos>")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SNIFFED_BYTES = 512
SHOWN_BYTES = 40
GZIPPED = (".gz", ".bgz", ".tgz")
FASTA = (".fa", ".fna", ".fasta", ".fas", ".ffn")
FASTA_STARTS = (b">", b";")
# What a file of another kind begins with, by the ending of its name.
STARTS = {
    **dict.fromkeys(FASTA, FASTA_STARTS),
    ".vcf": (b"##fileformat",),
    ".parquet": (b"PAR1",),
    ".zip": (b"PK",),
}
# Tables begin with all kinds of letters, but with none of those of JSON.
TABLES = (".bed", ".gtf", ".gff", ".gff3", ".tsv", ".csv", ".txt", ".narrowpeak", ".broadpeak")
JSON_STARTS = (b"{", b"[")
LENGTH_BYTES = 8  # of the header of a safetensors file, which is JSON


def is_web_page(start: bytes) -> bool:
    """Return whether a file's first bytes are those of an HTML page or an XML error message.

    No sequence, table, archive or safetensors file begins with an angle bracket; a vocab.txt does.
    """
    text = _text(start)
    return text.startswith(b"<") and not text.startswith(VOCABULARY_STARTS)


def find_mismatch(name: str, start: bytes) -> str | None:
    """Return why a file that begins so is not what its name promises, None if it may be.

    A FASTA file may be called .gz though it is not compressed: it is read right. The first bytes
    may be few, as many as a server sent at once.
    """
    text, path = _text(start), PurePosixPath(name.lower())
    if path.suffix in GZIPPED:
        inner = STARTS.get(PurePosixPath(path.stem).suffix, ())
        promise, starts = f"gzip ('{path.suffix}')", (GZIP_MAGIC, *inner)
    elif path.suffix in STARTS:
        # A table that is compressed under its bare name is read right, too.
        starts = (GZIP_MAGIC, *STARTS[path.suffix])
        promise = f"a {path.suffix.removeprefix('.')} file"
    elif path.suffix == ".safetensors":
        text, starts = start[LENGTH_BYTES:], (b"{",)
        promise = "safetensors"
    elif path.suffix in TABLES and text.startswith(JSON_STARTS):
        return f"its name promises a table, but it begins with {_shown(start)}"
    else:
        return None
    if not text or any(text.startswith(one[: len(text)]) for one in starts):
        return None
    return f"its name promises {promise}, but it begins with {_shown(start)}"


def find_damage(path: str | Path, name: str | None = None) -> str | None:
    """Return what is wrong with an empty or truncated gzip file, None for any other file.

    A gzip file is decompressed to its end, which takes a few seconds per gigabyte. With a `name`
    its content is to be what that promises.
    """
    with open(path, "rb") as file:
        start = file.read(SNIFFED_BYTES)
        if not start:
            return "it is empty"
        if name and (mismatch := find_mismatch(name, start)):
            return mismatch
        if not start.startswith(GZIP_MAGIC):
            return None
    if is_truncated_bgzf(path):
        return "the end mark of bgzip is missing"
    try:
        with open_binary(path) as unpacked:
            inner = unpacked.read(SNIFFED_BYTES)
            while unpacked.read(CHUNK_BYTES):
                pass
    except DamagedGzipError as error:
        return f"its gzip data is cut off or damaged ({error.fault})"
    except InputError:  # another file behind the end: whoever reads it says what to do
        return None
    return _find_inner_mismatch(name, inner) if name else None


def _find_inner_mismatch(name: str, inner: bytes) -> str | None:
    path = PurePosixPath(name.lower())
    content = path.stem if path.suffix in GZIPPED else path.name
    if is_web_page(inner):
        return "it is a compressed web page"
    if inner.startswith(GZIP_MAGIC):
        return "it is compressed twice"
    mismatch = find_mismatch(content, inner) if inner else None
    return mismatch and f"in its compression, {mismatch}"


def _text(start: bytes) -> bytes:
    return start.removeprefix(BYTE_ORDER_MARK).lstrip()


def _shown(start: bytes) -> str:
    text = start[:SHOWN_BYTES].decode("utf-8", "replace")
    return repr("".join(letter if letter.isprintable() else "." for letter in text))
