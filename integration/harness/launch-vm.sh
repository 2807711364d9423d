#!/bin/sh
# Run QEMU out of a machine's base root; run by harness/qemu.py on a leash, in namespaces of its own.
#   launch-vm.sh STATE ROOT TEMPLATE QEMU-OPTION...
# STATE: the machine's directory. TEMPLATE: that of its disk and memory. harness/qemu.py has QEMU's names for them.
set -eu
state=$1 root=$2 template=$3
shift 3

cd "$state"
mount --bind "$root" fs
mount -o remount,bind,ro fs
mount -t proc proc fs/proc
mount --rbind /dev fs/dev
mount --bind "$state" fs/mnt
mount --bind "$template" fs/srv
chroot fs ip link set lo up
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/mnt chroot fs qemu-system-x86_64 "$@"
