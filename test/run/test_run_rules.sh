#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: results are exactly those of the plain calls. Each scene is played
# twice, plainly and under opalmem-run; output and status must be the same. The
# table says what the report must hold, so that the cache was really there, or
# really left alone: CACHED-AT-LEAST, then CALL:REASON for calls that must be plain.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"
require_run

scene() {
    name=$1 cached=$2
    shift 2
    "$scenes" "$name" "$work/file" > "$work/plain" 2> /dev/null
    plain_status=$?
    [ $plain_status -lt 98 ] || [ $plain_status -gt 99 ] || fail "$name: $(tail -n 1 "$work/plain")"
    report -- "$scenes" "$name" "$work/file"
    [ "$status" = "$plain_status" ] || fail "$name: status $status, plainly $plain_status"
    cmp -s "$work/plain" "$work/out" ||
        fail "$name: other results than plainly: $(diff "$work/plain" "$work/out" | head -n 6)"
    at_least cached "$cached"
    for pair in "$@"; do
        [ "$(plain "${pair%%:*}" "${pair#*:}")" -ge 1 ] || fail "$name: no plain ${pair%%:*} for \"${pair#*:}\": $(cat "$work/json")"
    done
}

shared='descriptor perhaps shared with another process'
memory='memory that cannot be registered'
nothing='io_uring moved nothing'

scene read_to_the_end 9 'read:less than the threshold left in the file'
at_least hits 8
scene pread_everywhere 6 'pread:arguments that the kernel refuses' 'pread:less than the threshold left in the file'
scene fresh_buffers 8
at_least invalidations 8
scene buffers_released_at_once 8
[ "$(figure invalidations)" = 8 ] || fail "one release of 8 cached buffers counts as $(figure invalidations) invalidations"
scene larger_than_the_file 2
[ "$(figure registered_bytes)" -le 2260992 ] || fail "more was pinned than the file has: $(figure registered_bytes)"
if [ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -gt 3000000 ]; then
    scene over_one_gib 0
    [ "$(plain read 'limit of pinned memory')" != 0 ] || at_least misses 2 # RLIMIT_MEMLOCK
else
    echo "less than 3 GB of memory: no call over 1 GiB is tested"
fi
scene fortified_names 3
scene wrong_arguments 0 'read:arguments that the kernel refuses' 'pread:arguments that the kernel refuses' "read:$memory" \
    'write:arguments that the kernel refuses' "write:$nothing" "pwrite:$nothing"
scene memory_that_ends 0 "read:$memory" "pwrite:$memory"
scene read_only_memory 0 "read:$memory" "pread:$memory" "write:$memory" "pwrite:$memory"
scene rights_that_go 3 "read:$memory" "pwrite:$memory"
scene protection_keys 1
scene write_and_overwrite 5
scene append 1 'write:position found by O_APPEND'
scene append_later 1 'write:position found by O_APPEND'
scene file_limit 0 'write:RLIMIT_FSIZE is set' 'pwrite:RLIMIT_FSIZE is set'
scene direct 0
scene no_regular_files 0 'read:no regular file' 'pread:no regular file' 'write:no regular file'
scene copied_descriptors 4
scene number_used_again 1 'read:no regular file'
scene closed_all 1
scene nonblocking 1
scene fork_shares_position 0 "read:$shared"
scene fork_by_number 0 "read:$shared"
scene message_shares_position 0 "read:$shared" 'read:descriptor not opened in view'
scene threads_share_position 1
scene threads_release 100
at_least invalidations 100
scene cancelled_thread 2
scene fork_child_reads 5
scene vfork_child_reads 1 'pread:in a child that shares memory' "read:$shared"
scene spawn_child_reads 0 "read:$shared"
scene handler_reads 1 'pread:in a signal handler'
scene handler_jumps 1 'pread:in a signal handler'
scene seccomp_strict 1 'read:seccomp, protection keys or a shared table of descriptors'

# Inherited descriptors are not proven to be the program's own.
dd if=/dev/zero of="$work/zero" bs=1M count=1 2> /dev/null
report -- dd bs=256K count=2 status=none < "$work/zero"
[ "$(plain read 'descriptor not opened in view')" = 2 ] || fail "$what: an inherited descriptor: $(cat "$work/json")"
[ "$(wc -c < "$work/out")" = 524288 ] || fail "$what: $(wc -c < "$work/out") bytes"

# Below the threshold.
report --threshold 512K -- "$scenes" read_to_the_end "$work/file"
[ "$(figure cached)" = 0 ] || fail "$what: cached below the threshold"
noted 'no cached operation' || fail "$what: not noted: $(grep notes "$work/json")"
grep -q '^NOTE: no operation was cached' "$work/err" || fail "$what: the report does not say that nothing was cached"
finish
