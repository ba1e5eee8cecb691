"""Fetching a resource: the plan (pure), the part on disk, and the IO around them."""
