"""Keys, signatures and certificates: how members prove who they are."""
