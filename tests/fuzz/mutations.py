"""Mutations of bytes: what disks, editors, transfers and spreadsheets do to files, and worse."""

import gzip
import io
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

LARGEST = 1 << 17  # bytes of an input
TOKENS: tuple[bytes, ...] = (
    *(b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b"\t\t", b" "),
    *(b'"', b"'", b'""', b"`", b",", b";", b"|", b":", b"=", b"#", b"##", b">", b"<", b"@", b"*"),
    *(b"0", b"-1", b"1", b"-", b"+", b".", b"..", b"../..", b"/", b"\\", b"1.0", b"1e5", b"0x10"),
    *(
        b"2147483648",
        b"4294967296",
        b"9223372036854775807",
        b"9223372036854775808",
        b"-" + b"9" * 30,
    ),
    *(
        b"9" * 400,
        b"9" * 5000,
        b"1e999",
        b"-1e999",
        b"NaN",
        b"nan",
        b"inf",
        b"NA",
        b"null",
        b"None",
    ),
    *("²".encode(), "١".encode(), "ß".encode(), "é".encode(), "\u2028".encode(), "\x85".encode()),
    *("\u202e".encode(), "🧬".encode(), b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[31m", b"\x07"),
    *(b"\x1f\x8b\x08", b"\x1f\x8b\x08\x04", b"PAR1", b"PK\x03\x04", b"BCF\x02\x02", b"CRAM"),
    *(b"{}", b"[]", b"{", b"[", b"true", b"false", b'{"a": 1}', b"{x}", b"%s", b"%n", b"$HOME"),
    *(b"A" * 70, b"N" * 1000, b"x" * 300, b"ACGT" * 5000, b"a b " * 100, b"A" * 140_000),
    *(b"<html>", b"ATG", b"0|1", b"1/2", b"./.", b"chr1", b"http://h.org/a", b"ftp://a:b@h.org/x"),
)
NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
NUMBERS = (b"0", b"1", b"-1", b"2", b"7", b"255", b"256", b"65536", b"2147483647", b"2147483648")
NUMBERS += (b"4294967295", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"1e3")
NUMBERS += (b"1.5", b"1e999", b"nan", b"", b"999999999999999999", b"00", "²".encode(), b"1_0")
CELL = re.compile(rb"[^\t\n,;= ]+")

Edit = Callable[[bytearray, Random], None]


def _place(data: bytearray, random: Random) -> tuple[int, int]:
    """Return where a piece begins and ends, most often a short one."""
    begin = random.randrange(len(data) + 1)
    longest = len(data) if random.random() < 0.1 else 12
    return begin, min(len(data), begin + random.randint(1, max(1, longest)))


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _delete(data: bytearray, random: Random) -> None:
    begin, end = _place(data, random)
    del data[begin:end]


def _insert(data: bytearray, random: Random) -> None:
    begin = random.randrange(len(data) + 1)
    data[begin:begin] = random.randbytes(random.randint(1, 8))


def _insert_token(data: bytearray, random: Random) -> None:
    begin = random.randrange(len(data) + 1)
    data[begin:begin] = random.choice(TOKENS)


def _replace_cell(data: bytearray, random: Random) -> None:
    """Put a token, or another cell of the input, in the place of a cell."""
    cells = [match.span() for match in CELL.finditer(data, 0, 20_000)]
    if cells:
        begin, end = random.choice(cells)
        other = slice(*random.choice(cells))
        data[begin:end] = random.choice(TOKENS) if random.random() < 0.6 else bytes(data[other])


def _change_number(data: bytearray, random: Random) -> None:
    numbers = [match.span() for match in NUMBER.finditer(data, 0, 20_000)]
    if numbers:
        begin, end = random.choice(numbers)
        data[begin:end] = random.choice(NUMBERS)


def _duplicate(data: bytearray, random: Random) -> None:
    begin, end = _place(data, random)
    times = random.choice((1, 1, 1, 2, 50))
    data[begin:begin] = bytes(data[begin:end])[:2000] * times


def _truncate(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _change_lines(data: bytearray, random: Random) -> None:
    """Drop, repeat or swap lines, or change how all of them end."""
    lines = bytes(data).split(b"\n")
    if len(lines) < 2:
        return
    first, second = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case 3:
            data[:] = random.choice((b"\r\n", b"\r", b"\n\n", b" \n")).join(lines)
            return
        case 4:  # a piece of one line in another, as when two writers share a file
            cut = random.randrange(len(lines[second]) + 1)
            lines[first] = lines[first][: random.randrange(len(lines[first]) + 1)]
            lines[first] += lines[second][cut:]
    data[:] = b"\n".join(lines)


EDITS: tuple[Edit, ...] = (_flip, _set, _delete, _insert, _insert_token, _insert_token)
EDITS += (_replace_cell, _replace_cell, _change_number, _duplicate, _truncate, _change_lines)


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Return bytes with one change or, less often, more of them."""
    changed = bytearray(data)
    for _ in range(1 + min(7, int(random.expovariate(0.8)))):
        random.choice(EDITS)(changed, random)
    return bytes(changed[:LARGEST])


def splice(first: bytes, second: bytes, random: Random) -> bytes:
    """Return the beginning of one input and the end of another."""
    return (
        first[: random.randrange(len(first) + 1)] + second[random.randrange(len(second) + 1) :]
    )[:LARGEST]


def pack(data: bytes, random: Random) -> bytes:
    """Return bytes as they are or, less often, compressed by gzip or bgzip, in members or not."""
    kind = random.random()
    if kind < 0.8:
        return data
    if kind < 0.9:
        cut = random.randrange(len(data) + 1) if random.random() < 0.3 else len(data)
        parts = [data[:cut], data[cut:]] if cut < len(data) else [data]
        return b"".join(gzip.compress(part, 1, mtime=0) for part in parts)
    return bgzip(data)


def bgzip(data: bytes) -> bytes:
    """Return bytes as blocked gzip, with its end mark."""
    return b"".join(
        _block(data[begin : begin + 0xFF00]) for begin in (*range(0, len(data), 0xFF00), len(data))
    )


def _block(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    if not data:
        packed = b"\x03\x00"
    header = struct.pack("<4BI2BH2B2H", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return header + packed + struct.pack("<2I", zlib.crc32(data), len(data))


def packed(mutate: Callable[[bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    """Return a mutation of the text of files that may be compressed, or of their compression."""

    def change(data: bytes, random: Random) -> bytes:
        if data.startswith(b"\x1f\x8b") and random.random() < 0.5:
            try:
                data = gzip.GzipFile(fileobj=io.BytesIO(data)).read()
            except (OSError, EOFError, zlib.error):
                return mutate(data, random)
        changed = pack(mutate(data, random), random)
        if changed.startswith(b"\x1f\x8b") and random.random() < 0.3:
            return mutate_bytes(changed, random)
        return changed

    return change


def mutate_any(seeds: Sequence[bytes]) -> Callable[[bytes, Random], bytes]:
    """Return a mutation that splices an input with one of the seeds."""
    return lambda data, random: splice(data, random.choice(seeds), random)
