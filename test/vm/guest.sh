#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# guest.sh -B DIR [-n NAME] [-w DIR] [-m MEMORY] [-t SECONDS] [-v] -- COMMAND...
# Runs COMMAND as root in a QEMU guest, on the kernel that get-kernel.sh has
# unpacked below -B. Needs neither root nor KVM: all is emulated.
#   -n NAME of its console's copy, console-NAME.log (default: guest)
#   -w DIR  folder that the guest shares with the host, readable and writable, at
#           the same path (default: the current one, where COMMAND is run)
#   -v      the kernel's console to stderr at the end
# The host's / is the guest's, read-only, with empty /tmp, /run, /dev/shm ...
# What COMMAND writes comes out here. Exit status: COMMAND's; 124 after a
# time-out; 125 if the guest died (its console is in DIR/console-NAME.log).
set -eu
base='' name=guest work=$PWD memory=1G seconds=240 verbose=no
while getopts B:n:w:m:t:v option; do
    case $option in
        B) base=$(realpath "$OPTARG") ;;
        n) name=$OPTARG ;;
        w) work=$(realpath "$OPTARG") ;;
        m) memory=$OPTARG ;;
        t) seconds=$OPTARG ;;
        v) verbose=yes ;;
        *) sed -n '3s/^# /usage: /p' "$0" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ -z "$base" ] || [ $# = 0 ]; then sed -n '3s/^# /usage: /p' "$0" >&2; exit 2; fi
PATH=$PATH:/usr/sbin:/sbin
kver=$(cat "$base/KVER")
modules=$base/k/lib/modules/$kver
run=$(mktemp -d "$base/run.XXXXXX")
trap 'rm -rf "$run"' EXIT

# ---- First user space: busybox, and the modules that mounting / takes ---------------------------------

initrd=$base/initrd-$kver.gz
make_initrd() {
    local root=$run/initrd number=10 file
    mkdir -p "$root"/bin "$root"/dev "$root"/proc "$root"/sys "$root"/mod "$root"/root
    cp "$(command -v busybox)" "$root/bin/"
    for module in virtio_pci 9pnet_virtio 9p; do
        modprobe -d "$base/k" -S "$kver" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$run/modules"
    while read -r file; do
        cp "$file" "$root/mod/$number-${file##*/}"
        number=$((number + 1))
    done < "$run/modules"
    cat > "$root/init" << 'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
for module in /mod/*; do $bb insmod "$module" || echo "guest: insmod $module failed"; done
for word in $($bb cat /proc/cmdline); do case $word in guest.*) eval "${word#guest.}";; esac; done
options=trans=virtio,version=9p2000.L,msize=524288
$bb mount -t 9p -o "ro,$options,cache=loose" root /root || $bb poweroff -f
$bb mount --move /dev /root/dev
$bb mount --move /proc /root/proc
$bb mount -t sysfs sys /root/sys
$bb mkdir -p /root/dev/pts /root/dev/shm
$bb ln -s /proc/self/fd /root/dev/fd
$bb mount -t devpts pts /root/dev/pts
for folder in /dev/shm /run /tmp /var/tmp /mnt; do
    [ -d /root$folder ] && $bb mount -t tmpfs tmp /root$folder
done
$bb chmod 1777 /root/tmp /root/dev/shm /root/var/tmp
$bb mkdir -p "/root$work" "/root$run" "/root/mnt/lib/modules/$kver"
$bb mount -t 9p -o "$options,cache=mmap,access=client" work "/root$work"
[ -e "/root$run/script" ] || { $bb mkdir -p "/root$run"; $bb mount -t 9p -o "$options,cache=mmap" run "/root$run"; }
$bb mount -t 9p -o "ro,$options,cache=loose" modules "/root/mnt/lib/modules/$kver"
# The kernel asks for modules, too.
printf '#!/bin/sh\nexec /sbin/modprobe -d /mnt "$@"\n' > /root/mnt/modprobe
$bb chmod 755 /root/mnt/modprobe
echo /mnt/modprobe > /root/proc/sys/kernel/modprobe
exec $bb chroot /root /bin/bash "$run/script" "$run"
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$run/initrd.gz"
    mv "$run/initrd.gz" "$initrd"
}
if [ ! -e "$initrd" ] || [ "$0" -nt "$initrd" ]; then
    make_initrd
fi

# ---- What the guest runs --------------------------------------------------------------------------------

{
    # shellcheck disable=SC2016 # for the guest's shell
    echo 'run=$1; exec </dev/null >/dev/ttyS1 2>&1; stty raw -echo </dev/ttyS1 2>/dev/null'
    echo 'export PATH=/mnt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root'
    echo 'hostname guest; ip link set lo up; ulimit -c 0'
    printf 'cd %q\n(' "$PWD"
    printf ' %q' "$@"
    printf ' )\n'
    # shellcheck disable=SC2016
    echo 'echo $? > "$run/status"; sync; exec busybox poweroff -f'
} > "$run/script"

kernel=$base/k/boot/vmlinux-$kver
[ -e "$kernel" ] || kernel=$base/k/boot/vmlinuz-$kver
append="console=ttyS0 panic=-1 oops=panic quiet loglevel=5 no_timer_check tsc=reliable slub_debug=FZP,kmalloc-* mitigations=off nokaslr audit=0 selinux=0 apparmor=0"
# A busy host leaves a processor of the guest alone for many seconds, which is no lockup. What really hangs meets a time limit.
append+=" nosoftlockup rcupdate.rcu_cpu_stall_suppress=1"
# String instructions, with which the kernel would clear and copy pages, take an emulator several times as long as loops.
append+=" clearcpuid=rep_good,erms,fsrm"
# Code at an address where the emulator has met it before is not translated again: a fifth of all time.
append+=" norandmaps"
append+=" guest.work=$work guest.run=$run guest.kver=$kver"
share() { # NAME FOLDER [OPTION]
    shares+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap${3:-}" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}
shares=()
share root / ,readonly=on
share work "$work"
share run "$run"
share modules "$modules" ,readonly=on
status=0
# The first serial port is the kernel's console, the second what the command writes.
timeout -k 5 "$seconds" qemu-system-x86_64 -M q35 -nodefaults -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" \
    -no-reboot -display none -monitor none -nic none -kernel "$kernel" -initrd "$initrd" -append "$append" \
    -serial "file:$run/console" -serial stdio "${shares[@]}" < /dev/null || status=$?
cp "$run/console" "$base/console-$name.log" 2>/dev/null || true
[ $verbose = no ] || cat "$run/console" >&2
if [ $status = 124 ] || [ $status = 137 ]; then
    echo "guest: not finished after $seconds s" >&2
    exit 124
fi
[ -e "$run/status" ] || { echo "guest: died without a result (QEMU's status $status); its console is in $base/console-$name.log:" >&2
    tail -n 20 "$base/console-$name.log" >&2; exit 125; }
exit "$(cat "$run/status")"
