"""Valid inputs: sequences, names and tables as people write them."""

import codecs
import csv
import io
import string
from collections.abc import Sequence
from random import Random

from fuzz.mutations import pack

WORD = string.ascii_letters + string.digits + "_.-"
LETTERS = "ACGT" * 8 + "acgt" * 2 + "N" * 2 + "nRYSWKMBDHVry"


def sequence(random: Random, length: int, letters: str = LETTERS) -> str:
    """Return letters of DNA, most of them bases."""
    return "".join(random.choices(letters, k=length))


def word(random: Random, longest: int = 12) -> str:
    """Return a name without blanks that begins with a letter."""
    rest = random.choices(WORD, k=random.randrange(longest))
    return random.choice(string.ascii_letters) + "".join(rest)


def words(random: Random, count: int) -> list[str]:
    """Return different names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[word(random)] = None
    return list(found)


def text_file(text: str, random: Random, *, utf16: bool = False, mark: bool = True) -> bytes:
    """Return a text as a file: line ends, byte order mark, UTF-16 and compression by chance."""
    if random.random() < 0.2:
        text = text.replace("\n", "\r\n")
    if utf16 and random.random() < 0.05:
        return codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    start = codecs.BOM_UTF8 if mark and random.random() < 0.1 else b""
    return pack(start + text.encode(), random)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], separator: str, random: Random
) -> str:
    """Return a table as a spreadsheet writes it, cells in quotes by need or all of them."""
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if random.random() < 0.2 else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(
        [header, *rows]
    )
    return file.getvalue()
