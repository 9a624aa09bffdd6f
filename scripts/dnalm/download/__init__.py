"""Any file from the network or a mirror: addresses, transfers, checksums, locks, room on disk."""
