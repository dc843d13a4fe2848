#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2154 # the upper Makefile sets top_builddir and top_srcdir
# The example of a launcher hands settings on to the other example, which prints the name of the component in use.
set -eu
launcher=$top_builddir/examples/launcher
minimal=$top_builddir/examples/minimal
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'memory = noop\n' > "$work/noop.conf"
printf 'memory = noop\nmistake\n' > "$work/bad.conf"
export OPALMEM_MCA_mca_base_param_files=none

fail() { echo "$*" >&2; exit 1; }

# expect LINES COMMAND...: succeeds, and prints noop's line so many times.
expect() {
    lines=$1
    shift
    "$@" > "$work/out" || fail "$*: status $?"
    [ "$(grep -cx 'noop: 0 release(s)' "$work/out")" = "$lines" ] || fail "$*: expected noop $lines time(s), got: $(cat "$work/out")"
}

# refuse STATUS TEXT COMMAND...: fails with one message that holds the text, and starts nothing.
refuse() {
    status=$1
    text=$2
    shift 2
    rc=0
    "$@" > "$work/out" 2> "$work/err" || rc=$?
    [ $rc = "$status" ] || fail "$*: status $rc, not $status"
    if [ -s "$work/out" ]; then fail "$*: printed $(cat "$work/out")"; fi
    grep -qF -- "$text" "$work/err" || fail "$*: \"$text\" is not in: $(cat "$work/err")"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "$*: not one message: $(cat "$work/err")"
}

expect 3 "$launcher" -n 3 --mca memory noop "$minimal"
expect 1 "$launcher" --gmca memory noop "$minimal"
expect 1 "$launcher" --tune "$work/noop.conf" "$minimal"
expect 1 "$launcher" -- "$minimal" --mca memory noop
# The twin: what the launcher does not hand on has no effect.
unset OPALMEM_MCA_memory OMPI_MCA_memory
"$launcher" -n 2 "$minimal" > "$work/plain"
"$minimal" > "$work/alone"
[ "$(sort -u "$work/plain")" = "$(cat "$work/alone")" ] || fail "without settings: $(cat "$work/plain")"
# The command line is stronger than the environment, which is stronger than a tune file.
OPALMEM_MCA_memory=nosuch expect 1 "$launcher" --mca memory noop "$minimal"
OMPI_MCA_memory=noop expect 1 "$launcher" "$minimal"
printf 'memory = nosuch\n' > "$work/nosuch.conf"
OMPI_MCA_memory=noop expect 1 "$launcher" --tune "$work/nosuch.conf" "$minimal"

refuse 2 'bad.conf:2: "mistake" has no "="' "$launcher" --tune "$work/bad.conf" "$minimal"
refuse 2 'usage: launcher' "$launcher" --mca memory noop
refuse 2 'usage: launcher' "$launcher" -n 0 "$minimal"
refuse 2 'expected --mca NAME VALUE' "$launcher" "$minimal" --mca memory
if [ -n "${OPALMEM_TEST_EMULATOR:-}" ]; then
    echo "LEFT OUT under $OPALMEM_TEST_EMULATOR: errors of posix_spawn (its vfork is a fork)"
else
    refuse 1 '/nonexistent: No such file' "$launcher" /nonexistent
fi
