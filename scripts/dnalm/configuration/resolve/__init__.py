"""What entries of the configuration resolve to, defaults filled in."""

from dnalm.configuration.resolve.downloads import list_downloads, merge_downloads
from dnalm.configuration.resolve.layers import drop_removed, merge, replace_labels
from dnalm.configuration.resolve.pretraining import (
    resolve_corpus,
    resolve_k,
    resolve_preset,
    resolve_run,
    resolve_windows,
)
from dnalm.configuration.resolve.selection import select_predictions, select_tasks, select_variants
from dnalm.configuration.resolve.task_entries import (
    describe_rows,
    is_of_hub,
    list_file_labels,
    list_label_files,
    list_roles,
    list_sources,
    resolve_data_set,
    resolve_task,
)
from dnalm.configuration.weights import UNTRAINED

__all__ = [
    "UNTRAINED",
    "describe_rows",
    "drop_removed",
    "is_of_hub",
    "list_downloads",
    "list_file_labels",
    "list_label_files",
    "list_roles",
    "list_sources",
    "merge",
    "merge_downloads",
    "replace_labels",
    "resolve_corpus",
    "resolve_data_set",
    "resolve_k",
    "resolve_preset",
    "resolve_run",
    "resolve_task",
    "resolve_windows",
    "select_predictions",
    "select_tasks",
    "select_variants",
]
