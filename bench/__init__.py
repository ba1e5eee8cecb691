"""How fast the system is, beside a yardstick measured in the same run: `make bench`."""
