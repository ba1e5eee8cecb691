"""Unit tests: in memory, on a Clock, no sockets. Run them with `trial p2ptwisted`."""
