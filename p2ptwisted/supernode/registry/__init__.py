"""The registry: which node holds which resource, in SQLite. Its tables, writer and searches."""
