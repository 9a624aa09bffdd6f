"""Record lines of VCF and BCF files, plain or compressed in any way, and what their header says.

Lines are bytes without line end. BCF records come as the lines that VCF would have.
Source: VCF 4.5 specification, sections 1 and 6; CSIv1 specification for the index.
"""

import gzip
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pysam

from dnalm.download.compression import GZIP_ERRORS, name_foreign, open_binary
from dnalm.errors import InputError
from dnalm.genome.names import decode

PANEL_KEYS = "the panel's `path` or `url`"  # the keys of the configuration that name a file
COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT".split(b"\t")
CONTIG_LINE = re.compile(rb"##contig=<(?:[^\"]*,)?ID=([^,>]+)")
BCF_MAGIC = b"BCF"
HEADER_STARTS = (b"##", b"#CHROM\t")
SHOWN_BYTES = 40
# What pysam raises for a BCF file that is damaged: what of it, depends on where.
UNREADABLE = (OSError, ValueError, NotImplementedError, AssertionError, LookupError, TypeError)
# CSI: of a record's bins, one holds counts instead of places.
CSI_MAGIC = b"CSI\x01"
TABIX_SETTINGS_BYTES = 28  # before the names of the contigs


class VcfLines:
    """The lines of a VCF file; `samples` and `contigs` are those that its header names.

    `header` are its lines, the one of columns last. `unfinished`: the line that was read last has
    no line end, as in a file that was cut off.
    """

    unfinished = False

    def __init__(self, path: Path, index: Path | None, keys: str) -> None:
        """Read the header; raise InputError for a file that is no VCF, or has a sample twice."""
        self._path, self._index = path, index
        self.contigs: list[str] = []
        self.header: list[bytes] = []
        with open_binary(path) as file:
            start = file.peek(SHOWN_BYTES)[:SHOWN_BYTES]
            if not start.startswith(HEADER_STARTS):
                raise _no_variants(path, start, keys)
            for line in file:
                self.header.append(line.rstrip(b"\r\n"))
                if not line.startswith(b"##"):
                    break
                if found := CONTIG_LINE.match(line):
                    self.contigs.append(decode(found[1]))
        cells = line.rstrip(b"\r\n").split(b"\t")
        if cells[: len(COLUMNS)] != COLUMNS[: len(cells)] or len(cells) < len(COLUMNS) - 1:
            raise InputError(
                f"{path}: the line #CHROM POS ID … FORMAT, with tabs between, does not follow the "
                "lines that begin with ##; mend the header."
            )
        self.samples = [decode(cell) for cell in cells[len(COLUMNS) :]]
        if len(set(self.samples)) < len(self.samples):
            twice = next(name for name in self.samples if self.samples.count(name) > 1)
            raise InputError(
                f"{path}: two samples are called {twice}; rename one with `bcftools reheader`."
            )

    def find_contigs(self) -> list[str]:
        """Return the contigs that records have, whatever the header names."""
        if self._index:
            return list(_read_index(self._index))
        names = (line[: line.find(b"\t")] for line in self.read(None))
        return [decode(name) for name in dict.fromkeys(names)]

    def read(self, contig: str | None) -> Iterator[bytes]:
        """Yield the record lines, with an index those of `contig` alone."""
        begin, self.unfinished = (0, 0), False
        if self._index and contig is not None:
            begin = _read_index(self._index).get(contig)
            if begin is None:
                return
        found = False
        with open_binary(self._path, begin[0]) as file:
            file.read(begin[1])
            for line in file:
                if not line.endswith(b"\n"):
                    self._check_end(line)
                line = line.rstrip(b"\r\n")
                if not line or line.startswith(b"#"):
                    continue
                if self._index and contig is not None:
                    # The index is of a file whose contigs stand one behind the other.
                    here = decode(line[: line.find(b"\t")]) == contig
                    if found and not here:
                        return
                    found = here
                yield line

    def _check_end(self, line: bytes) -> None:
        """Raise InputError for a last line without line end that lacks columns."""
        self.unfinished = True
        wanted, found = len(COLUMNS) + len(self.samples), line.count(b"\t") + 1
        if self.samples and found < wanted and not line.startswith(b"#"):
            start = decode(line[:SHOWN_BYTES])
            raise InputError(
                f"{self._path}: the file is cut off in its last line, {start!r}, which has {found} "
                f"of {wanted} columns and no line end; get it again."
            )

    def close(self) -> None:
        """Do nothing: files are closed where they are read."""


class BcfLines:
    """The lines of a BCF file, as `VcfLines` has them."""

    unfinished = False  # its records say how long they are

    def __init__(self, path: Path, index: Path | None, keys: str) -> None:
        """Read the header; raise InputError for a file that cannot be read."""
        self._path, self._indexed = path, index is not None
        try:
            with quiet():
                self._file = pysam.VariantFile(
                    str(path), index_filename=str(index) if index else None
                )
                self.samples = list(self._file.header.samples)
                self.contigs = list(self._file.header.contigs)
                self.header = str(self._file.header).encode().splitlines()
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: the names in the header are not UTF-8; write them anew with "
                "`bcftools reheader`."
            ) from None
        except UNREADABLE as error:
            said = str(error) or "its header is damaged"
            raise InputError(
                f"{path}: this is no VCF or BCF file that can be read ({said}); get it again or "
                f"correct {keys}."
            ) from None

    def find_contigs(self) -> list[str]:
        """Return the contigs of the header: a BCF file has no others."""
        return self.contigs

    def read(self, contig: str | None) -> Iterator[bytes]:
        """Yield the record lines, with an index those of `contig` alone."""
        with quiet():
            try:
                for record in self._file.fetch(contig) if self._indexed else self._file:
                    yield str(record).rstrip("\n").encode()
            except UNREADABLE as error:
                self.close()
                raise OSError(str(error)) from None

    def close(self) -> None:
        """Close the file; htslib repeats then that it was damaged."""
        with suppress(OSError):
            self._file.close()


def open_lines(path: Path, index: Path | None, keys: str = PANEL_KEYS) -> VcfLines | BcfLines:
    """Open a VCF or BCF file by its first bytes, decompressed; `keys` name it in errors."""
    try:
        with open_binary(path) as file:
            is_bcf = file.peek(len(BCF_MAGIC)).startswith(BCF_MAGIC)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); correct {keys}.") from None
    return (BcfLines if is_bcf else VcfLines)(path, index, keys)


def _no_variants(path: Path, start: bytes, keys: str) -> InputError:
    remedy = f"get it again or correct {keys}."
    said = f"it begins with {start.decode('latin-1')!r}" if start else "it is empty"
    if foreign := name_foreign(start):
        said, remedy = f"it is {foreign[0]}", f"{foreign[1]}."
    return InputError(f"{path}: this is no VCF or BCF file that can be read ({said}); {remedy}")


def _read_index(path: Path) -> dict[str, tuple[int, int]]:
    """Return where each contig's records begin: (byte of the block, byte in its data)."""
    try:
        with gzip.open(path) as file:
            data = file.read()
        return dict(_parse_index(data))
    except (*GZIP_ERRORS, OSError, ValueError, IndexError, struct.error):
        raise InputError(
            f"{path}: this index cannot be read; delete it to have it made again."
        ) from None


def _parse_index(data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    magic, _, depth, size = struct.unpack_from("<4s3i", data)
    if magic != CSI_MAGIC:
        raise ValueError("no CSI index")
    names = data[16 + TABIX_SETTINGS_BYTES : 16 + size].split(b"\0")[:-1]
    at = 16 + size + 4  # behind the number of contigs
    counts_bin = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    for name in names:
        (bins,) = struct.unpack_from("<i", data, at)
        at, first = at + 4, None
        for _ in range(bins):
            number, _, chunks = struct.unpack_from("<IQi", data, at)
            at += 16
            if number != counts_bin:
                begins = struct.unpack_from(f"<{2 * chunks}Q", data, at)[::2]
                first = min(begins if first is None else (first, *begins))
            at += 16 * chunks
        if first is not None:
            yield decode(name), (first >> 16, first & 0xFFFF)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence htslib, whose messages on stderr are replaced by one sentence."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
