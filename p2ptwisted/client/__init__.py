"""The HTTP client of both APIs: calls to nodes and supernodes, of ours and of other programs."""
