#!/bin/bash
# A machine of its own that systemd has booted, in new namespaces and on a copy of this system that
# is gone with it: what `booted.py` starts, by `unshare`. In it p2ptwisted is installed in
# /opt/p2ptwisted, and a script is run as a service; its output and status are put into FOLDER.
#
# Variables: FOLDER (of the test), PYTHON_HOME (that of a Python), SITE (its packages), CHECKOUT.
set -eu
umask 022

system=$FOLDER/system
mkdir "$system"
mount -t tmpfs -o size=512M,mode=755 none "$system"
mkdir "$system/upper" "$system/work" "$system/root"
root=$system/root
mount -t overlay -o "lowerdir=/,upperdir=$system/upper,workdir=$system/work" overlay "$root"

# What a container has: nothing of the real machine can be changed by way of these.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs none "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s null "$root/dev/console"
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for place in dev/shm tmp; do mount -t tmpfs -o mode=1777 none "$root/$place"; done
for place in run opt; do mount -t tmpfs -o mode=755 none "$root/$place"; done
mkdir "$root/run/out"
mount --bind "$FOLDER" "$root/run/out"
ip link set lo up
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo

# Elsewhere than in a home folder, which the units don't see.
mkdir "$root/opt/python" "$root/opt/site"
mount --bind "$PYTHON_HOME" "$root/opt/python"
mount --bind "$SITE" "$root/opt/site"
# One that is built with a library of its own finds it there too.
echo /opt/python/lib >"$root/etc/ld.so.conf.d/0-python.conf"
chroot "$root" /sbin/ldconfig
chroot "$root" /opt/python/bin/python3 -I -m venv --without-pip /opt/p2ptwisted
packages=$(echo "$root"/opt/p2ptwisted/lib/python3.*/site-packages)
echo /opt/site >"$packages/libraries.pth"
cp -r "$CHECKOUT/p2ptwisted" "$CHECKOUT/twisted" "$packages"
{
    echo '#!/opt/p2ptwisted/bin/python3'
    echo 'import sys; from p2ptwisted.cli.main import main; sys.exit(main())'
} >"$root/opt/p2ptwisted/bin/p2p"
chmod 755 "$root/opt/p2ptwisted/bin/p2p"

# Only what the script asks for is started.
rm -rf "$root"/etc/systemd/system/*.wants "$root/etc/p2ptwisted" "$root/srv/p2p"
cat >"$root/etc/systemd/system/script.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
Environment=PATH=/opt/p2ptwisted/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/bash -eux /run/out/script
ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS >/run/out/status; systemctl --force exit'
StandardOutput=append:/run/out/output
StandardError=append:/run/out/output
UNIT
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /lib/systemd/systemd --system --unit=script.service \
    --log-target=console --show-status=no
