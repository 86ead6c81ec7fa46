#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Boot the machine's own systemd as PID 1 of new namespaces on a throw-away overlay of /, for tests of
# template units. Nothing outside can change: / is an overlay on tmpfs, /tmp /run /dev are private, /proc/sys
# and /sys are read-only, the network is a new namespace with only lo.
# (Without the private /tmp, systemd-tmpfiles-setup would empty the machine's own /tmp: seen, once.)
# usage: sysd.sh start DIR [BIND...] | exec DIR CMD... | stop DIR      BIND = a path made visible inside, read-write
set -eu
verb=$1 D=$2; shift 2
case $verb in
start)
	mkdir -p "$D"
	CG=/sys/fs/cgroup; [ -e $CG/cgroup.procs ] || CG=/sys/fs/cgroup/unified
	mkdir -p "$CG/sysd-$$"; echo "$CG/sysd-$$" > "$D/cgroup"
	cat > "$D/init" <<-'I'
		#!/bin/bash
		set -eu
		T=$1; shift
		mount --make-rprivate /
		mount -t tmpfs -o mode=755 tmpfs "$T"
		mkdir "$T/u" "$T/w" "$T/r"
		mount -t overlay overlay -o lowerdir=/,upperdir="$T/u",workdir="$T/w" "$T/r"
		R=$T/r
		mount -t proc proc "$R/proc"
		mount --bind "$R/proc/sys" "$R/proc/sys"; mount -o remount,bind,ro "$R/proc/sys"
		mount -t sysfs -o ro sysfs "$R/sys"
		mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
		mount -t bpf bpf "$R/sys/fs/bpf" || true
		mount -t tmpfs -o mode=755 tmpfs "$R/dev"
		for n in null zero full random urandom tty; do touch "$R/dev/$n"; mount --bind "/dev/$n" "$R/dev/$n"; done
		mkdir "$R/dev/pts" "$R/dev/shm" "$R/dev/mqueue" "$R/dev/hugepages"
		mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"; ln -s pts/ptmx "$R/dev/ptmx"
		ln -s /proc/self/fd "$R/dev/fd"; touch "$R/dev/console"
		mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"
		mount -t tmpfs -o mode=755 tmpfs "$R/run"; mkdir -p "$R/run/lock" "$R/run/systemd"
		mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
		mount -t tmpfs -o mode=1777 tmpfs "$R/var/tmp"
		mount -t tmpfs -o mode=755 tmpfs "$R/var/log"
		for b in "$@"; do mkdir -p "$R$b"; mount --bind "$b" "$R$b"; done
		ip link set lo up
		rm -rf "$R"/etc/systemd/system/*.wants; mkdir -p "$R/etc/systemd/system"
		S=$R/etc/systemd/system
		for u in systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-tmpfiles-clean systemd-sysctl systemd-sysusers systemd-random-seed \
			systemd-modules-load systemd-remount-fs systemd-udevd systemd-udev-trigger systemd-update-utmp systemd-timesyncd systemd-journal-flush; do
			ln -sf /dev/null "$S/$u.service"; done
		systemd-id128 new > "$R/etc/machine-id"
		printf '[Unit]\nDescription=lab\nRequires=dbus.socket systemd-journald.service\nAfter=dbus.socket\nAllowIsolate=yes\n' > "$S/lab.target"
		ln -sf lab.target "$S/default.target"
		cd "$R"; mkdir -p old; pivot_root . old; umount -l /old
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lab /lib/systemd/systemd --system --log-target=journal --show-status=0
	I
	chmod +x "$D/init"; mkdir -p "$D/t"
	( echo $BASHPID > "$CG/sysd-$$/cgroup.procs"
	  exec setsid unshare --pid --mount --cgroup --ipc --uts --net --fork --kill-child=KILL "$D/init" "$D/t" "$@" ) > "$D/log" 2>&1 < /dev/null &
	echo $! > "$D/unshare"
	for _ in $(seq 50); do
		sleep 0.2
		p=$(pgrep -P "$(cat "$D/unshare")") || continue
		echo "$p" > "$D/pid"
		timeout 2 nsenter -t "$p" -a systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && exit 0
	done
	echo "not up" >&2; exit 1;;
exec) exec nsenter -t "$(cat "$D/pid")" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@";;
stop)
	kill -KILL "$(cat "$D/pid")" 2>/dev/null || true; sleep 0.5
	find "$(cat "$D/cgroup")" -depth -type d -exec rmdir {} \; 2>/dev/null || true;;
esac
