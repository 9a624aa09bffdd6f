"""Gzip and blocked gzip (BGZF): magic bytes, and the empty block that ends a complete file."""

from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
MARK = b"BC\x02\x00"  # in the gzip header of every block
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
HEADER_BYTES = 18


def lacks_end(path: str | Path) -> bool:
    """Tell whether a file of blocked gzip is cut between two blocks, where gzip sees nothing amiss.

    False for any other file. Raises OSError for one that cannot be read.
    """
    with open(path, "rb") as file:
        is_bgzip = file.read(HEADER_BYTES)[12:16] == MARK
        file.seek(max(0, file.seek(0, 2) - len(END)))
        return is_bgzip and file.read() != END
