"""
Keeping the working directory out of `sys.path`.

`python -m` puts it first, before the standard library, and so does an empty
element of PYTHONPATH. What is imported before our first line runs can't be
helped; but most modules are imported later, some of them days later.
"""

import os
import sys

#: The folder of p2ptwisted, and with `pip install --target` of all that it depends on.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def forget_working_directory() -> None:
    """
    Remove the working directory from `sys.path`.

    If p2ptwisted itself was imported from there, it stays, as the last folder.
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
