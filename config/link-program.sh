#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# link-program.sh COMPILER ARGUMENT...   as libtool --mode=link would do it, for programs that stay in the build tree.
# libtool starts a hundred processes for each of them, which takes longer than to link; this one starts the linker. Whatever
# it does not know how to do it leaves to libtool.
# shellcheck disable=SC1090,SC2154 # what is read is a .la file, and sets these
set -eu

by_libtool() {
    exec ./libtool --silent --tag=CC --mode=link "$@"
}

# Sets library_names, old_library, dependency_libs and inherited_linker_flags.
read_la() {
    case $1 in
        /*) . "$1" ;;
        *) . "./$1" ;;
    esac
}

before=
for argument; do
    case $before$argument in
        -o*.la | -export-dynamic | -static* | -all-static | -rpath | -R* | -XCClinker | -Xcompiler | -Wc,* | -dlopen | -dlpreopen | -no-install) by_libtool "$@" ;;
        *.la)
            read_la "$argument"
            case "$installed $dependency_libs " in yes* | *.la\ *) by_libtool "$@" ;; esac
            ;;
    esac
    before=
    [ "$argument" != -o ] || before=-o
done

left=$#
while [ "$left" -gt 0 ]; do
    argument=$1
    shift
    left=$((left - 1))
    case $argument in
        *.la)
            read_la "$argument"
            case $argument in */*) folder=${argument%/*}/.libs ;; *) folder=.libs ;; esac
            # shellcheck disable=SC2086 # libraries and flags are words
            if [ -n "$library_names" ]; then # Before what LD_LIBRARY_PATH says, as libtool's wrappers have it.
                set -- "$@" "$folder/${library_names##* }" -Wl,--disable-new-dtags -Xlinker -rpath -Xlinker "$(pwd)/$folder" $inherited_linker_flags
            else
                set -- "$@" "$folder/$old_library" $dependency_libs $inherited_linker_flags
            fi
            ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "$@"
