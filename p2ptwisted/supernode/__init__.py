"""A supernode: its registry, the sweep of its nodes, and what it answers."""
