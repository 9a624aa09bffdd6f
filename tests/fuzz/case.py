"""One input of a target, and the file in which an input that failed is kept."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Case:
    """An input: its bytes, and whether it was made valid, so that it has to be read right.

    `fault` is what was wrong with what came of it, "" where nothing was; `seed` and `number` say
    which input of which campaign it came of.
    """

    target: str
    data: bytes
    valid: bool
    seed: int = 0
    number: int = -1
    fault: str = ""

    def write(self, folder: Path) -> Path:
        """Write the input with a line about it in front, and return the path."""
        facts = {key: value for key, value in vars(self).items() if key != "data"}
        try:
            text = self.data.decode()
            whole = text.isprintable() or not re.search(r"[^\t\n -\U0010ffff]", text)
        except UnicodeDecodeError:
            whole = False
        body = self.data if whole else base64.encodebytes(self.data)
        if not whole:
            facts["encoding"] = "base64"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.target}-{self.seed}-{self.number}.case"
        path = folder / name
        path.write_bytes(json.dumps(facts).encode() + b"\n" + body)
        return path

    @classmethod
    def read(cls, path: Path) -> "Case":
        """Return the input of a file that `write` made."""
        head, _, body = path.read_bytes().partition(b"\n")
        facts = json.loads(head)
        data = base64.decodebytes(body) if facts.pop("encoding", "") else body
        return cls(data=data, **facts)
