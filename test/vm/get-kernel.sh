#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# get-kernel.sh DIR [headers|image]: unpack the headers for building modules for Debian's
# kernel below DIR/h, and that kernel below DIR/k, without root and without installing
# them; or one of the two, headers first. DIR/KVER is the version, DIR/kdir names the
# folder for `make -C`. What is there already is used as it is: remove DIR to get a newer one.
set -eu
mkdir -p "${1:?usage: get-kernel.sh DIR}"
dir=$(realpath "$1")
what=${2:-both}
case $what in both | headers | image) ;; *) echo "get-kernel: what is \"$what\"? usage: get-kernel.sh DIR [headers|image]" >&2; exit 2 ;; esac
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

download() { # FOLDER PACKAGE...; what was cut off never gets its name there.
    local work folder=$1
    shift
    work=$(mktemp -d "$dir/download.XXXXXX")
    (cd "$work" && apt-get -qq "${lists[@]}" -o "APT::Sandbox::User=$(id -un)" download "$@" >&2) && mkdir -p "$folder" && mv "$work"/*.deb "$folder"
    local rc=$?
    rm -rf "$work"
    return $rc
}

# The headers of an image, and what building modules with them takes.
header_packages() { # KVER
    echo "linux-headers-$1"
    apt-cache "${lists[@]}" depends "linux-headers-$1" 2>/dev/null |
        sed -n -E 's/^ *Depends: (linux-(headers|kbuild|compiler)-.*)/\1/p'
}

# Those of the newest image; says which that is.
download_headers() {
    local image packages
    rm -rf headers
    image=$(image_package)
    [ -n "$image" ] || return 1
    mapfile -t packages < <(header_packages "${image#linux-image-}")
    download headers "${packages[@]}" && echo "${image#linux-image-}"
}

renew_lists() {
    lists=("${own_lists[@]}")
    mkdir -p lists/partial cache/archives/partial
    apt-get -qq "${lists[@]}" -o "APT::Sandbox::User=$(id -un)" update >&2 || true
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

unpack_image() { # KVER
    rm -rf k k.tmp
    mkdir k.tmp
    dpkg-deb --fsys-tarfile image/*.deb | tar -x -C k.tmp --exclude='*/kernel/sound' --exclude='*/drivers/gpu' \
        --exclude='*/drivers/media' --exclude='*/drivers/scsi' --exclude='*/drivers/usb' --exclude='*/drivers/iio' \
        --exclude='*/drivers/net/ethernet' --exclude='*/drivers/net/wireless' --exclude='*/usr/share'
    [ -e k.tmp/lib ] || ln -s usr/lib k.tmp/lib
    depmod -b "$dir/k.tmp" "$1"
    mv k.tmp k
}

unpack_headers() { # KVER
    local deb
    rm -rf h h.tmp
    mkdir h.tmp
    for deb in headers/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C h.tmp --exclude='*/usr/share'
    done
    # Their only absolute path.
    sed -i "s,/usr/src/,$dir/h/usr/src/," "h.tmp/usr/src/linux-headers-$1/Makefile"
    mv h.tmp h
    echo "$1" > KVER
    echo "$dir/h/usr/src/linux-headers-$1" > kdir
}

has_headers() {
    [ -e KVER ] && [ "$(cat kdir 2>/dev/null)" = "$dir/h/usr/src/linux-headers-$(cat KVER)" ] && [ -e "$(cat kdir)/Makefile" ]
}

has_image() {
    [ -e "k/lib/modules/$(cat KVER)/modules.dep" ]
}

need_tools() {
    for pair in apt-get:apt dpkg-deb:dpkg depmod:kmod xz:xz-utils; do
        command -v "${pair%%:*}" >/dev/null || missing "${pair%%:*} is missing (Debian package: ${pair##*:})"
    done
}

if [ "$what" != image ] && ! has_headers; then
    need_tools
    # Lists of our own are there afterwards if the headers came by them; others have been left by a run that was cut off.
    rm -rf KVER kdir lists cache
    # No lists, or older ones than the archive.
    kver=$(download_headers) || { renew_lists && kver=$(download_headers); } ||
        missing "headers for Debian's kernel (package linux-image-amd64) could not be downloaded with apt-get"
    unpack_headers "$kver"
    rm -rf headers
fi
[ "$what" != headers ] || exit 0
kver=$(cat KVER)
if ! has_image; then
    need_tools
    [ ! -d lists/partial ] || lists=("${own_lists[@]}")
    rm -rf image
    # The archive may have gone on since the headers came: the next time they come anew.
    download image "linux-image-$kver" || { rm -f KVER; missing "Debian's kernel (package linux-image-$kver) could not be downloaded with apt-get"; }
    unpack_image "$kver"
    unpack_elf "$kver" || true
    rm -rf image lists cache
fi
