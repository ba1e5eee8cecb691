"""`python -m p2ptwisted.cli`, the same as `p2p`."""

import sys

from p2ptwisted.support.import_path import forget_working_directory

if __name__ == "__main__":
    # Before click is imported, too.
    forget_working_directory()
    from p2ptwisted.cli.main import main

    sys.exit(main())
