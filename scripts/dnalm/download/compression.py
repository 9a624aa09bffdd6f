"""Gzip and blocked gzip (BGZF): streams of their decompressed bytes, and what is wrong with them.

Source: RFC 1952, and section 4.1 of the SAM specification (SAMv1.pdf), "The BGZF compression
format".
"""

import gzip
import io
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dnalm.errors import InputError
from dnalm.files import refuse_stream

try:
    from isal.igzip import IGzipFile as GzipFile
    from isal.isal_zlib import decompressobj
    from isal.isal_zlib import error as inflate_error
except ImportError:  # it reads the same, only faster, and not every container of PyTorch has it
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import decompressobj  # type: ignore[assignment]
    from zlib import error as inflate_error  # type: ignore[assignment]

GZIP_MAGIC = b"\x1f\x8b"
GZIP_START = b"\x1f\x8b\x08"  # of a member: the magic bytes and the one method there is
# isal's stubs call its class of errors an instance of it.
GZIP_ERRORS: tuple[type[Exception], ...] = (  # type: ignore[assignment]
    *(EOFError, gzip.BadGzipFile, zlib.error),
    inflate_error,
)
BGZF_SUBFIELD = b"BC\x02\x00"  # identifies BGZF in the extra field of every block's gzip header
BGZF_END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
BGZF_HEADER_BYTES = 18
READ_BYTES = 1 << 18
# What begins a FASTA file, a VCF, BED or GTF file, and FASTQ.
RECORD_STARTS = (b">", b"#", b"@")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# First bytes of files that none of our readers takes: what each is, and how to make text of it.
FOREIGN_FILES = {
    b"\x43\x27\x41\x1a": ("a 2bit file", "convert it with `twoBitToFa in.2bit out.fa`"),
    b"\x1a\x41\x27\x43": ("a 2bit file", "convert it with `twoBitToFa in.2bit out.fa`"),
    b"PK\x03\x04": ("a zip archive", "unpack it with `unzip`, or save a workbook of Excel as text"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel", "save its sheet as text"),
    b"BZh": ("compressed by bzip2", "unpack it with `bunzip2`, or compress it with `bgzip`"),
    b"\xfd7zXZ\x00": ("compressed by xz", "unpack it with `unxz`, or compress it with `bgzip`"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it with `unzstd`"),
    b"\xeb\xf2\x89\x87": ("a bigBed file", "convert it with `bigBedToBed in.bb out.bed`"),
    b"\x87\x89\xf2\xeb": ("a bigBed file", "convert it with `bigBedToBed in.bb out.bed`"),
    b"\x26\xfc\x8f\x88": ("a bigWig file", "convert it with `bigWigToBedGraph in.bw out.bedGraph`"),
    b"\x88\x8f\xfc\x26": ("a bigWig file", "convert it with `bigWigToBedGraph in.bw out.bedGraph`"),
    b"\x89HDF\r\n": ("an HDF5 file", "give the kind of file that is asked for"),
    b"SQLite format 3\0": ("a database of SQLite", "give the text file that it was made of"),
    b"BAM\x01": ("a BAM file of alignments", "give the kind of file that is asked for"),
    b"CRAM": ("a CRAM file of alignments", "give the kind of file that is asked for"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
}
FOREIGN_BYTES = max(map(len, FOREIGN_FILES))

log = logging.getLogger(__name__)


class DamagedGzipError(InputError):
    """A gzip file that cannot be read to its end; `fault` says why, without file and remedy."""

    def __init__(self, path: str | Path, fault: str) -> None:
        super().__init__(f"{path} cannot be read ({fault}): fetch the file again.")
        self.fault = fault


def name_foreign(start: bytes) -> tuple[str, str] | None:
    """Return what a file is by its first bytes, and what to do; None for what may be text."""
    return next((said for magic, said in FOREIGN_FILES.items() if start.startswith(magic)), None)


def open_binary(path: str | Path, begin: int = 0) -> io.BufferedReader:
    """Open a file to read, decompressed if it is gzip by its magic bytes; no byte order mark.

    `begin` is the byte where a member begins, to read from there on. Bytes behind the end of gzip
    data are left out with a warning, as zcat does. Raises InputError (DamagedGzipError), here or
    while it is read, for gzip data that is truncated or damaged, InputError for a pipe or device,
    and OSError for a file that cannot be opened.
    """
    refuse_stream(path)
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    try:
        if file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            file.close()
            if not begin and is_truncated_bgzf(path):
                raise DamagedGzipError(
                    path, "the end mark of bgzip is missing, the file is truncated"
                )
            file = io.BufferedReader(_GzipStream(path, begin), READ_BYTES)
        if not begin and file.peek(len(BYTE_ORDER_MARK)).startswith(BYTE_ORDER_MARK):
            file.read(len(BYTE_ORDER_MARK))
    except BaseException:
        file.close()
        raise
    return file


class _GzipStream(io.RawIOBase):
    """The decompressed bytes of a gzip file of one member or several."""

    def __init__(self, path: str | Path, begin: int) -> None:
        self._path, self._begin = path, begin
        self._file = open(path, "rb")  # noqa: SIM115 - closed with the stream
        self._file.seek(begin)
        self._fast: GzipFile | None = GzipFile(fileobj=self._file)
        self._careful: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._fast is not None:
            try:
                count = self._fast.readinto(buffer)
                self._done += count
                return count
            except GZIP_ERRORS:
                # It may be bytes behind the end; what was decompressed before them is lost here.
                self._fast = None
                members = _decompress_members(self._path, self._begin)
                self._careful = _skip(members, self._done)
        while not self._rest:
            block = next(self._careful, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _skip(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _decompress_members(path: str | Path, first: int) -> Iterator[bytes]:
    """Yield the data of the members from byte `first` on, however the file goes on behind them."""
    with open(path, "rb") as file:
        begin, after_block = first, b""  # where a member begins, the one before if it is a block
        while True:
            file.seek(begin)
            start = file.read(BGZF_HEADER_BYTES)
            if begin != first and not start.startswith(GZIP_START):
                begin, start = _skip_zeros(file, begin)
                if not start.startswith(GZIP_START):
                    _judge_rest(path, start, begin, after_block)
                    return
            file.seek(begin)
            unpacker = decompressobj(wbits=31)
            try:
                while not unpacker.eof:
                    packed = file.read(READ_BYTES)
                    if not packed:
                        raise EOFError("it ends within a member")
                    if block := unpacker.decompress(packed):
                        yield block
            except GZIP_ERRORS as error:
                raise DamagedGzipError(
                    path, f"the gzip data is truncated or damaged ({error})"
                ) from None
            after = file.tell() - len(unpacker.unused_data)
            after_block = b""
            if start[12:16] == BGZF_SUBFIELD:
                file.seek(begin)
                after_block = file.read(after - begin)
            begin = after


def _skip_zeros(file: BinaryIO, begin: int) -> tuple[int, bytes]:
    """Return where bytes other than the zeros of a padding begin, and the first of them."""
    file.seek(begin)
    while (block := file.read(READ_BYTES)) and not (rest := block.lstrip(b"\0")):
        begin += len(block)
    begin += len(block) - len(rest) if block else 0
    file.seek(begin)
    return begin, file.read(BGZF_HEADER_BYTES)


def _judge_rest(path: str | Path, start: bytes, begin: int, after_block: bytes) -> None:
    """Warn of bytes behind the end of gzip data, or raise DamagedGzipError where data is lost."""
    if not start:
        return
    size = os.path.getsize(path)
    place = f"{size - begin:,} bytes stand behind the end of the gzip data"
    alike = sum(a == b for a, b in zip(start, GZIP_START, strict=False))
    if (after_block and after_block != BGZF_END_BLOCK) or alike == len(GZIP_START) - 1:
        raise DamagedGzipError(
            path, "the gzip data is truncated or damaged (a member does not begin as one)"
        )
    if start.startswith(RECORD_STARTS):
        raise InputError(
            f"{path}: {place} and look like another file, not compressed; compress both alike, or "
            f"cut it off with `head -c {begin}`."
        )
    log.warning("%s: %s; they are left out, `head -c %d` cuts them off.", path, place, begin)


def is_truncated_bgzf(path: str | Path) -> bool:
    """Return whether a BGZF file lacks its end-of-file block, as one cut between two blocks does.

    A gzip reader sees nothing amiss there. False for any file that is not BGZF, or goes on behind
    its end with something else. Raises OSError for one that cannot be read.
    """
    refuse_stream(path)
    with open(path, "rb") as file:
        if file.read(BGZF_HEADER_BYTES)[12:16] != BGZF_SUBFIELD:
            return False
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(BGZF_END_BLOCK)))
        if file.read() == BGZF_END_BLOCK:
            return False
    end, last = _end_of_blocks(path)
    with open(path, "rb") as file:
        file.seek(end)
        return last != BGZF_END_BLOCK and not file.read(len(GZIP_START)).startswith(GZIP_START)


def is_whole_bgzf(path: str | Path) -> bool:
    """Return whether a file is made of BGZF blocks alone, as an index needs it."""
    end, last = _end_of_blocks(path)
    return end == os.path.getsize(path) and last == BGZF_END_BLOCK


def _end_of_blocks(path: str | Path) -> tuple[int, bytes]:
    """Return where the BGZF blocks at a file's beginning end, and the first bytes of the last.

    Of a block longer than the empty one only its first bytes are returned. The blocks say how long
    they are, so nothing is decompressed.
    """
    at, last = 0, b""
    with open(path, "rb", buffering=0) as file:
        while True:
            file.seek(at)
            start = file.read(len(BGZF_END_BLOCK))
            if not start.startswith(GZIP_START) or start[12:16] != BGZF_SUBFIELD:
                return at, last
            last = start
            at += int.from_bytes(start[16:18], "little") + 1
