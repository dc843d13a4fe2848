#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# get-kernel.sh DIR: unpack Debian's kernel below DIR/k and the headers for building
# modules below DIR/h, without root and without installing them, and write the
# version to DIR/KVER. DIR/kdir then names the folder for `make -C`. What is there
# already is used as it is: remove DIR to get a newer one.
set -eu
mkdir -p "${1:?usage: get-kernel.sh DIR}"
dir=$(realpath "$1")
PATH=$PATH:/usr/sbin:/sbin
cd "$dir"

missing() {
    echo "get-kernel: SKIP: $*" >&2
    exit 77
}

# Package lists of our own: an ordinary user cannot renew the system's.
own_lists=(-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
lists=()
# The newest image package that the archive's lists name.
image_package() {
    apt-cache "${lists[@]}" depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1
}

download() { # PACKAGE, into debs/; what was cut off never gets its name there.
    local work
    work=$(mktemp -d "$dir/download.XXXXXX")
    (cd "$work" && apt-get -qq "${lists[@]}" -o "APT::Sandbox::User=$(id -un)" download "$1" >&2) && mkdir -p debs && mv "$work"/*.deb debs/
    local rc=$?
    rm -rf "$work"
    return $rc
}

# The headers of that image, and what building modules with them takes.
header_packages() { # KVER
    echo "linux-headers-$1"
    apt-cache "${lists[@]}" depends "linux-headers-$1" 2>/dev/null |
        sed -n -E 's/^ *Depends: (linux-(headers|kbuild|compiler)-.*)/\1/p'
}

download_all() {
    local image package
    image=$(image_package)
    [ -n "$image" ] || return 1
    for package in "$image" $(header_packages "${image#linux-image-}"); do
        download "$package" || return 1
    done
    echo "$image"
}

fetch() {
    rm -rf debs
    download_all && return 0
    # No lists, or older ones than the archive.
    rm -rf debs
    lists=("${own_lists[@]}")
    mkdir -p lists/partial cache/archives/partial
    apt-get -qq "${lists[@]}" -o "APT::Sandbox::User=$(id -un)" update >&2 || true
    download_all
}

# The ELF file inside the compressed kernel: booted directly it saves seconds of emulated decompression.
unpack_elf() { # KVER
    local z=k/boot/vmlinuz-$1 offset length
    number() { od -An -t"u$1" -j"$2" -N"$1" "$z" | tr -d ' '; }
    offset=$((($(number 1 497) + 1) * 512 + $(number 4 584)))
    length=$(number 4 588)
    tail -c +$((offset + 1)) "$z" | head -c $((length - 4)) | xz -dc > vmlinux.tmp 2>/dev/null && mv vmlinux.tmp "k/boot/vmlinux-$1"
    rm -f vmlinux.tmp # Compressed in another way: the guest boots vmlinuz.
}

unpack() { # PACKAGE KVER
    rm -rf k k.tmp
    mkdir k.tmp
    dpkg-deb --fsys-tarfile debs/"$1"_*.deb | tar -x -C k.tmp --exclude='*/kernel/sound' --exclude='*/drivers/gpu' \
        --exclude='*/drivers/media' --exclude='*/drivers/scsi' --exclude='*/drivers/usb' --exclude='*/drivers/iio' \
        --exclude='*/drivers/net/ethernet' --exclude='*/drivers/net/wireless' --exclude='*/usr/share'
    [ -e k.tmp/lib ] || ln -s usr/lib k.tmp/lib
    depmod -b "$dir/k.tmp" "$2"
    mv k.tmp k
}

unpack_headers() { # KVER
    local deb
    rm -rf h h.tmp
    mkdir h.tmp
    for deb in debs/linux-headers-*.deb debs/linux-kbuild-*.deb debs/linux-compiler-*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C h.tmp --exclude='*/usr/share'
    done
    # Their only absolute path.
    sed -i "s,/usr/src/,$dir/h/usr/src/," "h.tmp/usr/src/linux-headers-$1/Makefile"
    mv h.tmp h
    echo "$dir/h/usr/src/linux-headers-$1" > kdir
}

if [ -e KVER ] && [ "$(cat kdir 2>/dev/null)" = "$dir/h/usr/src/linux-headers-$(cat KVER)" ] && [ -e "$(cat kdir)/Makefile" ] && [ -e "k/lib/modules/$(cat KVER)/modules.dep" ]; then
    exit 0
fi
for pair in apt-get:apt dpkg-deb:dpkg depmod:kmod xz:xz-utils; do
    command -v "${pair%%:*}" >/dev/null || missing "${pair%%:*} is missing (Debian package: ${pair##*:})"
done
image=$(fetch) || missing "Debian's kernel (package linux-image-amd64) and its headers could not be downloaded with apt-get"
kver=${image#linux-image-}
unpack "$image" "$kver"
unpack_elf "$kver" || true
unpack_headers "$kver"
rm -rf debs lists cache
echo "$kver" > KVER
