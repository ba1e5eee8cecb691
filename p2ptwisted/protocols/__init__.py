"""How supernodes search each other and nodes find supernodes: datagrams and the overlay."""
