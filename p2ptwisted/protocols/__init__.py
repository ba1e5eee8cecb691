"""What travels between supernodes: the datagram format and the protocol that speaks it."""
