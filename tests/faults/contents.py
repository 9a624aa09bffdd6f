"""What a run has made, file by file, without what differs between two runs of one thing."""

import hashlib
import io
import json
import re
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# What differs between two runs of one thing: times, speeds and memory, under these keys, in columns
# of these names, and in the pages and texts for people that are drawn from them.
VOLATILE = {"seconds", "tokens_per_second", "data_wait_share", "peak_memory_bytes"}
VOLATILE |= {"peak_memory", "peak_memory_mb", "written"}
VOLATILE |= {"device_hours", "mfu", "preflight_seconds", "gradients_seconds"}
VOLATILE |= {"gigabytes_per_second", "classifier_sha256"}  # of a file that says its seconds, too
TIMES = re.compile(rb"\nTime \(.*?\n\n", re.DOTALL)  # a section of the summary for people
IGNORED = {".snakemake_timestamp", "filler"}
IGNORED |= {"stages.tsv", "hours.txt", "rates.json"}  # estimates: rates that are measured
# What a training that was killed before its first checkpoint had come to is kept on purpose.
IGNORED |= {"lost.history.jsonl"}


def files_of(folder: Path, path: Path) -> dict[str, Path]:
    """Return {name: path} of a file, or of all in a folder, that results consist of."""
    paths = path.rglob("*") if path.is_dir() else [path]
    return {
        str(one.relative_to(folder)): one
        for one in paths
        if one.name not in IGNORED and one.is_file()
    }


def contents_of(folder: Path, path: Path) -> dict[str, str]:
    """Return {name: hash} of files without what differs from run to run."""
    found = {}
    for name, one in files_of(folder, path).items():
        try:
            found[name] = hashlib.sha256(stable_bytes(one)).hexdigest()
        except FileNotFoundError:  # a process has just renamed or removed it
            continue
    return found


def stable_bytes(path: Path) -> bytes:
    """Return the bytes of a file without what differs from run to run; half a file as it is."""
    raw = path.read_bytes()
    try:
        return STABLE.get(path.suffix, lambda raw: raw)(raw)
    except (ValueError, KeyError, StopIteration, struct.error):
        return raw


def drop_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: drop_keys(one) for key, one in value.items() if key not in VOLATILE}
    return [drop_keys(one) for one in value] if isinstance(value, list) else value


def json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def stable_json(raw: bytes) -> bytes:
    return json.dumps(drop_keys(json.loads(raw))).encode() + raw[-1:]


def stable_lines(raw: bytes) -> bytes:
    return b"".join(map(stable_json, raw.splitlines(keepends=True)))


def stable_tsv(raw: bytes) -> bytes:
    rows = [line.split("\t") for line in raw.decode().split("\n")]
    kept = [place for place, name in enumerate(rows[0]) if name not in VOLATILE]
    return "\n".join(
        "\t".join(row[place] for place in kept if place < len(row)) for row in rows
    ).encode()


def stable_tensors(raw: bytes) -> bytes:
    (length,) = struct.unpack("<Q", raw[:8])
    return json.dumps(drop_keys(json.loads(raw[8 : 8 + length]))).encode() + raw[8 + length :]


def stable_parquet(raw: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(raw))
    texts = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
    metadata = {key: json_or_text(text) for key, text in texts.items()}
    plain, sink = table.replace_schema_metadata(None), io.BytesIO()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return json.dumps(drop_keys(metadata)).encode() + sink.getvalue()


STABLE = {
    ".json": stable_json,
    ".jsonl": stable_lines,
    ".tsv": stable_tsv,
    ".safetensors": stable_tensors,
    ".parquet": stable_parquet,
    # A card says what was measured of a model when it was written.
    ".md": lambda raw: raw[:4],
    ".html": lambda raw: raw.rstrip()[-len("</html>") :],
    ".txt": lambda raw: TIMES.sub(b"", raw),
}
