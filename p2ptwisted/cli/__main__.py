"""`python -m p2ptwisted.cli`, the same as `p2p`."""

import sys

from p2ptwisted.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
