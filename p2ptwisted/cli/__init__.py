"""The `p2p` command: the only package that prints; only `runner.py` takes the global reactor."""
