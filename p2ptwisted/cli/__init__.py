"""The `p2p` command: the only package that prints, and that may take the global reactor."""
