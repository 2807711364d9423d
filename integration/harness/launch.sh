#!/bin/sh
# Mount a machine's root and boot it; run by harness/nspawn.py on a leash, in mount and PID namespaces of its own.
#   launch.sh STATE LAYERS CGROUPS NSPAWN-OPTION...
# STATE: the machine's directory. LAYERS: lowerdir= of overlayfs. CGROUPS: directories to move into, one a hierarchy.
set -eu
state=$1 layers=$2 cgroups=$3
shift 3

for cgroup in $cgroups; do echo 0 >"$cgroup/cgroup.procs"; done
cd "$state"
mount -t tmpfs -o mode=755 machine fs
cd fs
# overlayfs cannot lie on overlayfs: where the engine keeps its own must be another file system.
mkdir upper work root docker containerd
mount -t overlay -o "lowerdir=$layers,upperdir=upper,workdir=work" machine root

# Remove what a machine leaves in its cgroups when it is reset.
clear_cgroups() {
	for cgroup in $cgroups; do
		find "$cgroup" -mindepth 1 -depth -type d -exec rmdir {} + || true
	done
}

# With --keep-unit, systemd-nspawn leaves a reboot to its caller and says so with this status.
status=133
while [ $status -eq 133 ]; do
	status=0
	clear_cgroups
	systemd-nspawn --directory=root --bind="$PWD/docker:/var/lib/docker" --bind="$PWD/containerd:/var/lib/containerd" \
		"$@" || status=$?
done
echo "systemd-nspawn exited $status; the journal's end:"
journalctl --directory=root/var/log/journal --no-pager --lines=300
exit $status
