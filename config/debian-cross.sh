#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# debian-cross.sh ARCHITECTURE TRIPLET FOLDER: what it takes to build this
# project for another architecture of Debian: FOLDER/root has its libraries,
# FOLDER/bin compilers and pkg-config that look there, also by the names that tests and documents call them by.
# apt-get is given lists and a status of its own, below FOLDER: the machine's
# package system stays as it is, and knows no further architecture. Sources are the machine's.
# Exit status 77: something cannot be had; the message says what.
set -eu
usage="usage: debian-cross.sh ARCHITECTURE TRIPLET FOLDER"
architecture=${1:?$usage}
triplet=${2:?$usage}
mkdir -p "${3:?$usage}"
folder=$(cd "$3" && pwd)
root=$folder/root
lib=$root/usr/lib/$triplet
packages=(libc6 libgcc-s1 check libsubunit0 libsubunit-dev libltdl7 libltdl-dev liburing2 liburing-dev
    libhwloc15 libhwloc-dev libudev1)

missing() {
    echo "SKIP: $*" >&2
    exit 77
}

for language in gcc g++; do
    command -v "$triplet-$language" >/dev/null || missing "$triplet-$language (Debian package: $language-$triplet)"
done
[ ! -e "$folder/complete" ] || exit 0
for tool in apt-get dpkg-deb; do
    command -v $tool >/dev/null || missing "$tool, to fetch packages for $architecture: ${packages[*]}"
done
rm -rf "$root" "${folder:?}/packages" "${folder:?}/bin"
mkdir -p "$root" "$folder/packages" "$folder/bin" "$folder/state/lists/partial" "$folder/cache/archives/partial"
: > "$folder/status"
cat > "$folder/apt.conf" << END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$folder/state";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Acquire::Retries "2";
END
export APT_CONFIG=$folder/apt.conf
# A source without this architecture is an error of its own: what counts is whether the packages come.
apt-get -q update > "$folder/apt.out" 2>&1 || :
(cd "$folder/packages" && apt-get -q download "${packages[@]}") >> "$folder/apt.out" 2>&1 || {
    tail -n 5 "$folder/apt.out" >&2
    missing "Debian packages of $architecture: ${packages[*]}"
}
for package in "$folder"/packages/*.deb; do
    dpkg-deb -x "$package" "$root"
done

# wrapper NAME COMMAND: FOLDER/bin/NAME runs COMMAND.
wrapper() {
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" > "$folder/bin/$1"
    chmod +x "$folder/bin/$1"
}
search="-I$root/usr/include -I$root/usr/include/$triplet -L$lib -Wl,-rpath-link,$lib:$root/lib/$triplet"
for name in cc gcc "$triplet-gcc"; do
    wrapper "$name" "$(command -v "$triplet-gcc") $search"
done
for name in c++ g++ "$triplet-g++"; do
    wrapper "$name" "$(command -v "$triplet-g++") $search"
done
wrapper "$triplet-pkg-config" "env PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config"
: > "$folder/complete"
