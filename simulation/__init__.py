"""Runs the real code through random histories on a virtual clock and network, by seed."""
