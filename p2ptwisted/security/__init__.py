"""How members prove who they are: the group's key, signatures, TLS, and the files of these."""
