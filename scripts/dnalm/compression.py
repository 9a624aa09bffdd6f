"""Gzip and blocked gzip (BGZF): magic bytes, and the empty block that ends a complete file.

Source: section 4.1 of the SAM specification (SAMv1.pdf), "The BGZF compression format".
"""

from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
BGZF_SUBFIELD = b"BC\x02\x00"  # identifies BGZF in the extra field of every block's gzip header
BGZF_END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
BGZF_HEADER_BYTES = 18


def is_truncated_bgzf(path: str | Path) -> bool:
    """Return whether a BGZF file lacks its end-of-file block, as one cut between two blocks does.

    A gzip reader sees nothing amiss there. False for any file that is not BGZF. Raises OSError for
    one that cannot be read.
    """
    with open(path, "rb") as file:
        is_bgzip = file.read(BGZF_HEADER_BYTES)[12:16] == BGZF_SUBFIELD
        file.seek(max(0, file.seek(0, 2) - len(BGZF_END_BLOCK)))
        return is_bgzip and file.read() != BGZF_END_BLOCK
