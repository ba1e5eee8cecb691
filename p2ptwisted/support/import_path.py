"""
Which folders this process imports from: not the one where it was started.

`python -m` puts that first, before Python's own library, and so does an empty
element of PYTHONPATH. What is imported before our first line runs is out of
our hands; but most comes after it, some of it days later.
"""

import os
import sys

#: Where p2ptwisted is, and with `pip install --target` all that it depends on.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def forget_working_directory() -> None:
    """
    Have nothing more imported from the working directory.

    Where we are ourselves from there, it stays, but comes last.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""  # It was removed.
    sys.path[:] = [
        folder for folder in sys.path if os.path.isabs(folder) and os.path.realpath(folder) != here
    ]
    if here == _OURS:
        sys.path.append(here)
