"""Random histories of the real code on a virtual clock and network, each repeated by its seed."""
