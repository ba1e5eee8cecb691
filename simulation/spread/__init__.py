"""One large file that spreads to many nodes: the real download and uploads, over virtual links."""
