"""
Everything that leans on something private of Twisted's, and nothing else.

A module for each part of Twisted. Whatever is used has a sentence here on the
public thing that is missing, and an entry in `test_twisted_internals`, which
fails with that sentence when a new release of Twisted takes it away. Klein is
used by its public names only.
"""
