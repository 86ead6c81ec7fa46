#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The first process of a throw-away machine: makes its files, then becomes systemd.
# usage: boot.sh FOLDER [TREE]	in new pid, mount, cgroup, ipc, uts and network namespaces;
# machine.py calls it. TREE is copied over the root.
#
# Nothing outside can change: / is an overlay on a tmpfs, /tmp, /run, /dev and /var/tmp are
# private, /proc/sys and /sys are read-only. (With the host's /tmp, systemd-tmpfiles would
# empty it.) The network namespace has only lo.
set -eu
folder=$1 tree=${2:-}

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay \
	-o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t bpf -o mode=0700 bpf "$root/sys/fs/bpf" 2>/dev/null || true

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
	touch "$root/dev/$name"
	mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$root/dev/console"

private() {
	mkdir -p "$root$1"
	mount -t tmpfs -o "mode=$2" tmpfs "$root$1"
}
private /dev/shm 1777
private /run 755
private /tmp 1777
private /var/tmp 1777
private /var/log 755
mkdir -p "$root/run/lock" "$root/run/systemd"
ip link set lo up
[ -z "$tree" ] || cp -a "$tree"/* "$root/" # not the mode of the folder itself

# The host's own services stay off: one small target, and the parts of an early boot that
# would touch hardware or the clock are masked.
units=$root/etc/systemd/system
rm -rf "$units"/*.wants
mkdir -p "$units"
for name in tmpfiles-setup tmpfiles-setup-dev tmpfiles-clean sysctl sysusers random-seed \
	modules-load remount-fs udevd udev-trigger update-utmp timesyncd journal-flush; do
	ln -sf /dev/null "$units/systemd-$name.service"
done
systemd-id128 new >"$root/etc/machine-id"
cat >"$units/lab.target" <<'UNIT'
[Unit]
Description=Throw-away machine
Requires=dbus.socket systemd-journald.service
After=dbus.socket systemd-journald.service
AllowIsolate=yes
UNIT
ln -sf lab.target "$units/default.target"

cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=lab \
	/lib/systemd/systemd --system --log-target=journal --show-status=0
