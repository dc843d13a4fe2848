#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# opalmem-run: each reason for the plain call is counted exactly where it holds. A
# scene makes such calls and, beside them, calls for which it just does not hold: the
# report must have these counts and no others. Then rules are switched off: either the
# results are the same, so that they do not hang on the rule, or the scene shows what
# the rule is there for. The preload library is one built for that.
set -u
# shellcheck source=test/run/run_common.sh
. "${top_srcdir:-.}/test/run/run_common.sh"
require_run

here=$top_builddir/test/run/.libs
mkdir "$work/bin"
cp "$top_builddir/.libs/opalmem-run" "$work/bin/" && cp "$here/preload_test.so" "$work/bin/opalmem_run_preload.so" || exit 99
LD_LIBRARY_PATH=$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
ordinary_run=$run
run=$work/bin/opalmem-run
fakes=$here/fake_libs.so

# counts: "CALL:REASON=NUMBER" a line, of all plain calls. Left out: the small calls that fill the file, print, and look
# at what became of it (of reads only where $keep_small is empty).
keep_small=''
counts() {
    awk -v small="$keep_small" '{ sub(/^ */, "") }
        /^"(read|pread|write|pwrite)": {/ { call = $1; gsub(/[":]/, "", call) }
        /^"plain": {/ { inside = 1; sub(/^"plain": {/, "") }
        inside && /^"[^"]*": [0-9]/ { count = $0; sub(/.*: /, "", count); sub(/,$/, "", count)
            reason = $0; sub(/^"/, "", reason); sub(/": .*/, "", reason)
            if (count + 0 > 0 && (reason != "below the threshold" || (small != "" && call == "read"))) print call ":" reason "=" count + 0 }
        /^}/ { inside = 0 }' "$work/json"
}

# exact SCENE CACHED CALL:REASON=NUMBER...: with the options in $options, and $preloaded.
options='' preloaded=''
exact() {
    name=$1 cached=$2
    shift 2
    # shellcheck disable=SC2086 # a list
    LD_PRELOAD=$preloaded report $options -- "$scenes" "$name" "$work/file"
    [ "$status" = 0 ] || fail "$name: status $status: $(cat "$work/out")"
    [ $# = 0 ] || printf '%s\n' "$@" | sort > "$work/expected"
    [ $# != 0 ] || : > "$work/expected"
    counts | sort > "$work/found"
    sed 's/^[a-z]*:\(.*\)=[0-9]*$/\1/' "$work/expected" >> "$work/seen"
    cmp -s "$work/expected" "$work/found" || fail "$name: reasons: $(diff "$work/expected" "$work/found")"
    [ "$(figure cached)" = "$cached" ] || fail "$name: $(figure cached) calls were cached, not $cached"
}

# off RULE... -- EXPECTED SCENE [CACHED]: EXPECTED is same or other, as plainly. CACHED: so many calls at least then went through the cache.
off() {
    rules=''
    while [ "$1" != -- ]; do
        rules="$rules${rules:+ }$1"
        shift
    done
    expected=$2 name=$3
    "$scenes" "$name" "$work/file" > "$work/plain" 2> /dev/null
    plain_status=$?
    # shellcheck disable=SC2086 # a list
    OPALMEM_TEST_RULES_OFF=$rules report $options -- "$scenes" "$name" "$work/file"
    found=other
    if [ "$status" = "$plain_status" ] && cmp -s "$work/plain" "$work/out"; then found=same; fi
    [ "$found" = "$expected" ] ||
        fail "$name without the rule $rules: $found results: status $status, $(diff "$work/plain" "$work/out" | head -n 6)"
    at_least cached "${4:-1}"
}

argument='arguments that the kernel refuses' end='less than the threshold left in the file' limit='limit of pinned memory'
memory='memory that cannot be registered' nothing='io_uring moved nothing' regular='no regular file'
shared='descriptor perhaps shared with another process' view='descriptor not opened in view'
forbidden='seccomp, protection keys or a shared table of descriptors'

# ---- Exactly where it holds ----
keep_small=yes
exact threshold_edges 3 'read:below the threshold=1' "pread:$end=2"
keep_small=
exact wrong_arguments 0 "read:$argument=1" "pread:$argument=3" "write:$argument=1" "read:$regular=1" "read:$memory=1" \
    "read:$nothing=1" "write:$nothing=1" "pwrite:$nothing=2"
exact no_regular_files 0 "read:$regular=3" "pread:$regular=1" "write:$regular=2"
exact read_to_the_end 9 "read:$end=1"
exact pread_everywhere 6 "pread:$argument=1" "pread:$end=1"
exact copied_descriptors 4
exact fork_child_reads 5
exact number_used_again 1 "read:$regular=1"
exact spawn_child_reads 0 "read:$shared=1"
exact append 1 'write:position found by O_APPEND=2'
exact append_later 1 'write:position found by O_APPEND=1'
exact write_and_overwrite 5
exact no_file_limit 3 'write:RLIMIT_FSIZE is set=1'
exact file_limit 0 'write:RLIMIT_FSIZE is set=3' 'pwrite:RLIMIT_FSIZE is set=1'
exact handler_jumps 1 'pread:in a signal handler=1'
exact vfork_child_reads 1 'pread:in a child that shares memory=1' "read:$shared=1"
exact seccomp_strict 1 "read:$forbidden=1"
exact read_only_memory 0 "read:$memory=1" "pread:$memory=1" "write:$memory=1" "pwrite:$memory=1"
exact rights_that_go 3 "read:$memory=1" "pwrite:$memory=1"
exact closed_all 1 "read:$nothing=1" 'pread:no cache in this process=1'
options='--mca rcache_base_max_bytes 300K'
exact over_the_limit 2 "pread:$limit=1"
options=''

# At the moment when the library makes its ring.
preloaded=$fakes
exact another_thread_at_the_start 2 'pread:while the library started=1'
exact read_inside_the_cache 2 'pread:inside the cache or a release=1'
exact position_moved 1 'read:position moved by another thread=1'
# The same calls without the stop.
preloaded=''
exact another_thread_at_the_start 3
exact read_inside_the_cache 3

# Inherited, as standard output is; and opened in view.
dd if=/dev/zero of="$work/zero" bs=1M count=1 2> /dev/null
report -- dd bs=256K count=2 status=none < "$work/zero"
[ "$(counts)" = "$(printf '%s\n' "read:$view=2" "write:$view=2")" ] || fail "an inherited descriptor: $(counts)"
report -- dd bs=256K count=2 status=none if="$work/zero"
[ "$(counts)" = "write:$view=2" ] || fail "a descriptor that dd opens itself: $(counts)"

every_reason_has_a_scene() {
    sed -n 's/^ *\[RUN_[A-Z_]*\] = "\(.*\)",$/\1/p' "${top_srcdir:-.}/tools/run/run_report.c" | sort > "$work/reasons"
    [ "$(wc -l < "$work/reasons")" -ge 18 ] || fail "the reasons were not found in run_report.c"
    sort -u "$work/seen" | comm -23 "$work/reasons" - > "$work/unseen"
    [ ! -s "$work/unseen" ] || fail "reasons that no scene counts exactly: $(cat "$work/unseen")"
}
echo "$view" >> "$work/seen"
every_reason_has_a_scene

# ---- pidfd_spawn ----
preloaded=$fakes
exact pidfd_spawn_shares 2 "read:$shared=2"
# Twin: where libc has no such function the ordinary preload library does not wrap it, and notices nothing.
if nm -D --defined-only "$top_builddir/.libs/opalmem_run_preload.so" | grep -q ' pidfd_spawn$'; then
    echo "pidfd_spawn is libc's here: its twin without the wrapper is not played"
else
    run=$ordinary_run
    exact pidfd_spawn_shares 4
    run=$work/bin/opalmem-run
fi
preloaded=''

# ---- Without the rule ----
options='--threshold 1'
off '' -- same threshold_edges 5
options=''
off end -- same threshold_edges 4
off shared -- same spawn_child_reads
off file-limit -- same no_file_limit 4
off in-handler -- same handler_jumps 2
off not-regular -- same no_regular_files 0
(cd "$work" && OPALMEM_TEST_RULES_OFF=inherited report -- dd bs=256K count=2 status=none < zero && cmp -s -n 524288 zero out) ||
    fail "an inherited descriptor without the rule: other results"
[ "$(figure cached)" = 4 ] || fail "an inherited descriptor without the rule: $(figure cached) cached"
# What these are there for: the position, the signal, and the life of the program.
off append -- other append 3
off append -- other append_later 2
off file-limit -- other file_limit
off forbidden -- other seccomp_strict
finish
