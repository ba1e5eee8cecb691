"""A hybrid peer-to-peer file distribution daemon: supernodes know, nodes serve."""
