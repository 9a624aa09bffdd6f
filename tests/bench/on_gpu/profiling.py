"""The kernels of one training step: a table for people, and a trace for a browser."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

MAX_KERNELS = 30
MAX_TRACE_BYTES = 15 << 20
NAME_WIDTH = 90


def write_profile(step: Callable[[], object], stem: Path, wait: Callable[[], None]) -> str:
    """Write `<stem>.profile.txt` and `<stem>.trace.json.gz` of one call; return what was written.

    The table holds the kernels that took most, by name, then by the operator that started them. A
    trace that is too large to carry is not kept. Open it at https://ui.perfetto.dev.
    """
    on_gpu = torch.cuda.is_available()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    step()
    wait()
    with profile(activities=kinds) as profiled:
        step()
        wait()
    averages = profiled.key_averages()
    key = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    stem.parent.mkdir(parents=True, exist_ok=True)
    table = stem.with_name(f"{stem.name}.profile.txt")
    table.write_text(
        averages.table(sort_by=key, row_limit=MAX_KERNELS, max_name_column_width=NAME_WIDTH)
    )
    trace = stem.with_name(f"{stem.name}.trace.json.gz")
    profiled.export_chrome_trace(str(trace))
    if trace.stat().st_size > MAX_TRACE_BYTES:
        trace.unlink()
        return f"{table.name}; the trace was too large"
    return f"{table.name}, {trace.name}"
