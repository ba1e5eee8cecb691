"""A supernode: its registry, the sweep of its nodes, and the answers to searches."""
