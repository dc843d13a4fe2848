#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# build.sh KERNELDIR OUTDIR: build the test drivers against a kernel's headers, every
# warning an error, and checked by sparse if it is there. Makes OUTDIR/kdreg2.ko and
# OUTDIR/ummunotify.ko; nothing is installed, and nothing is written beside the sources.
set -eu
kernel=$(realpath "${1:?usage: build.sh KERNELDIR OUTDIR}")
mkdir -p "${2:?usage: build.sh KERNELDIR OUTDIR}"
out=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

# Kbuild writes beside the sources: to a copy of them, renewed only where it differs.
copy() { # FOLDER
    local file
    mkdir -p "$out/$1"
    for file in "$here/$1"/*; do
        cmp -s "$file" "$out/$1/${file##*/}" || cp "$file" "$out/$1/"
    done
}

checks=()
if command -v sparse >/dev/null; then checks=(C=1 CF='-Wsparse-error'); fi

# Each in a folder of its own: both at once.
build() { # DRIVER
    copy "$1"
    if ! make -s -C "$kernel" M="$out/$1" W=1 "${checks[@]}" KCFLAGS=-Werror modules > "$out/$1.log" 2>&1; then
        cat "$out/$1.log" >&2
        echo "build.sh: the driver $1 could not be built" >&2
        return 1
    fi
    cp "$out/$1/$1.ko" "$out/"
}

copy common
build kdreg2 &
build ummunotify || { wait; exit 1; }
wait $!
