"""What every job has around its work: a log, progress, a lock, finished parts, processes."""
