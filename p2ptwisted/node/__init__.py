"""A node: its library, its membership at a supernode, its downloads and uploads."""
