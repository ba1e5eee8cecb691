"""Pieces of no role: addresses, rates, files, processes, the log."""
