"""Which node holds which resource, in SQLite: the tables, what writes them, the searches."""
