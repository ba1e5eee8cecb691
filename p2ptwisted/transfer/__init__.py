"""Downloading a resource: the piece picker (pure), the part on disk, and the IO around them."""
