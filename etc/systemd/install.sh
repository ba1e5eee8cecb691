#!/bin/sh
# As root, on Debian 12 or newer, with the checkout at /opt/p2ptwisted: installs p2ptwisted
# into /opt/p2ptwisted/.venv, and the units beside this file. Run it again after an update.
set -eu
umask 022

cd "$(dirname "$0")/../.."
if [ "$(pwd -P)" != /opt/p2ptwisted ]; then
    echo "The units expect this checkout at /opt/p2ptwisted; it is at $(pwd -P)" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update </dev/null
apt-get -qq install --no-install-recommends ca-certificates python3 python3-venv </dev/null >/dev/null

# -I: what lies in this folder and is called like a module is not run.
[ -x .venv/bin/pip ] || python3 -I -m venv .venv
# What an earlier build left would be packaged again.
rm -rf build
.venv/bin/pip install --quiet --disable-pip-version-check .
rm -rf build

# twistd keeps a list of its commands, which the daemons' own user may not write.
.venv/bin/twistd --help >/dev/null

cp etc/systemd/*.service /etc/systemd/system/
# In an image that is being built, no systemd is there yet to be told.
[ ! -d /run/systemd/system ] || systemctl daemon-reload
