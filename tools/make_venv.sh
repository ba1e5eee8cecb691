#!/bin/sh
# Makes .venv in the current folder, the project installed in it from this
# checkout with all that development needs. `make` calls this: make_venv.sh PYTHON
set -eu

# Called with -I, it runs nothing of this folder that is called like a module.
python=$1

die() {
    echo "$*" >&2
    exit 1
}

[ -n "$python" ] || die "There is no Python here. On Debian: apt-get install python3"
"$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$python is not Python 3.11 or newer. Name one that is: make PYTHON=/path/to/python3 ..."

# Debian keeps what makes a virtual environment in a package of its own.
if ! "$python" -I -c 'import venv, ensurepip' 2>/dev/null; then
    package=$("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    command -v apt-get >/dev/null || die "$python lacks its venv and ensurepip modules: install them"
    [ "$(id -u)" = 0 ] || die "$python can't make virtual environments yet: sudo apt-get install $package"
    echo "Installing $package"
    export DEBIAN_FRONTEND=noninteractive
    said=$({ apt-get -qq update && apt-get -qq install --no-install-recommends "$package"; } \
        </dev/null 2>&1) || die "$said"
fi

# One that was begun and not finished, or moved here from another folder, is made anew.
here=$(pwd -P)
if ! grep -qsF "$here/.venv" .venv/bin/activate || ! .venv/bin/python -I -m pip --version >/dev/null 2>&1; then
    echo "Setting up .venv with $("$python" --version); the first time takes a moment"
    "$python" -I -m venv --clear .venv
else
    echo "Bringing .venv up to date"
fi
.venv/bin/python -I -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
