#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What users and machines do wrong: each gets one message and the right exit
# status, and nothing is left running.
# shellcheck source-path=SCRIPTDIR source=msg_common.sh
. "${top_srcdir:-.}/test/msg/msg_common.sh"
require_working_program

# ---- usage
usage()
{
    pattern=$1
    shift
    expect_status 2 "$msg" "$@"
    expect_message "$pattern"
}
usage 'unknown option "--nosuch"' --nosuch
usage 'unknown option "-x"' -x
usage 'peers cannot be "1": expected a number from 2' --peers 1
usage 'peers cannot be "257"' --peers 257
usage 'peers cannot be "2x"' --peers 2x
usage 'peers needs a value' --peers
usage 'pattern cannot be "nosuch": expected reuse' --pattern nosuch
usage 'size cannot be "0"' --size 0
usage 'size cannot be "1M-4K"' --size=1M-4K
usage 'size cannot be "1G"' --size 1G
usage 'messages cannot be "-1"' --messages=-1
usage 'seed cannot be "18446744073709551616"' --seed 18446744073709551616
usage 'cache cannot be "maybe": expected none' --cache maybe
usage 'json cannot be ""' --json=
usage 'mca needs a name and a value' --mca memory
usage 'cache cannot be given with' --compare --cache none
usage 'own use' --worker
usage 'own use' --worker 3,0,4,5
usage 'own use' --worker nonsense
expect_status 0 "$msg" --help
grep -q 'usage: opalmem-msg' "$work/out" || fail "--help does not print the usage"
expect_status 0 "$msg" --version
grep -q '^opalmem-msg [0-9]' "$work/out" || fail "--version does not print the version"

# ---- settings of the library
expect_status 1 "$msg" --mca memory nosuch
expect_message 'nosuch'
expect_status 1 env OPALMEM_MCA_memory=nosuch "$msg"
expect_message 'nosuch.*OPALMEM_MCA_memory'
expect_status 1 "$msg" --mca rcache_base_max_bytes 4096
expect_message 'rcache_base_max_bytes is 4096'
expect_status 1 "$msg" --mca rcache_base_max_bytes junk
expect_message 'junk'
expect_status 0 "$msg" --messages 10 --mca nosuch_variable 1
expect_message 'warning: .*nosuch_variable'
expect_status 1 "$msg" --messages 10 --mca rcache_base_max_count 1
expect_message 'nothing idle is left to unpin'
expect_status 0 "$msg" --messages 200 --mca memory noop --json "$work/json"
[ "$(value "$work/json" hooks hits)" = 0 ] || fail "hits although nothing notices releases"

# ---- output
expect_status 0 "$msg" --messages 10 --json /dev/stdout
head -n 1 "$work/out" | grep -q '^{$' || fail "--json /dev/stdout: not only JSON on stdout"
if [ -c /dev/full ]; then
    expect_status 1 "$msg" --messages 10 --json /dev/full
    expect_message 'cannot write the file "/dev/full": No space left'
    "$msg" --messages 10 >/dev/full 2>"$work/err"
    [ $? -eq 1 ] || fail "a full stdout is not an error"
    expect_message 'standard output: No space left'
fi
"$msg" --messages 10 >&- 2>"$work/err"
[ $? -eq 1 ] || fail "a closed stdout is not an error"
expect_message 'standard output'
expect_status 1 "$msg" --json "$work/nosuch/file"
expect_message 'cannot write the file ".*/nosuch/file": No such file'
[ ! -s "$work/out" ] || fail "it ran although the JSON file cannot be written"
expect_status 1 "$msg" --json "$work"
expect_message 'Is a directory'
echo old >"$work/json"
ln -s json "$work/link"
expect_status 0 "$msg" --messages 10 --json "$work/link"
[ -L "$work/link" ] || fail "--json replaces a link"
grep -q '"program": "opalmem-msg"' "$work/json" || fail "--json does not write through a link"
[ ! -e "$work/json.tmp" ] || fail "a temporary file is left"

# A file system that is full: the old file stays as it was. Needs root and a mount namespace.
mkdir "$work/disk"
cat >"$work/full.sh" <<'END'
mount -t tmpfs -o size=16k tmpfs "$2" 2>/dev/null || exit 77
echo old >"$2/json"
dd if=/dev/zero of="$2/filler" bs=1k 2>/dev/null
"$1" --messages 10 --json "$2/json" >/dev/null
status=$?
[ "$(cat "$2/json")" = old ] && [ ! -e "$2/json.tmp" ] || exit 99
exit $status
END
unshare -m sh "$work/full.sh" "$msg" "$work/disk" 2>"$work/err"
case $? in
    1) grep -q -E 'No space left' "$work/err" || skipped="no mount namespace" ;;
    77) skipped="no tmpfs can be mounted" ;;
    *) fail "a full disk: $(cat "$work/err")" ;;
esac
[ -z "${skipped:-}" ] || echo "not tested: full disk, $skipped"

# ---- peers that die, and the end by a signal
# has_children PID COUNT: sets $peers.
# shellcheck disable=SC2317 # called through wait_for
has_children()
{
    peers=$(children "$1")
    [ "$(echo "$peers" | wc -w)" -eq "$2" ]
}

# A run of tests under nohup hands down SIGHUP ignored.
start_long_run()
{
    env --default-signal=HUP "$msg" --peers "$1" --messages 100000000 >"$work/out" 2>"$work/err" &
    launcher=$!
    wait_for 10 has_children $launcher "$1" || fail "$1 peers have not started"
    sleep 0.3
}

expect_end()
{
    wait $launcher
    status=$?
    [ "$status" -eq "$1" ] || fail "$2: status $status instead of $1: $(cat "$work/err")"
    for peer in $peers; do
        wait_for 20 is_gone "$peer" || fail "$2: peer $peer is still there"
    done
}

for count in 2 4; do
    start_long_run $count
    victim=$(echo "$peers" | tail -n 1)
    before=$(date +%s)
    kill -KILL "$victim"
    expect_end 1 "a killed peer of $count"
    expect_message "peer [0-9]+ \\(pid $victim\\) was killed by signal 9"
    # The run itself takes far longer, and a busy machine may take a while for anything.
    [ $(($(date +%s) - before)) -le 20 ] || fail "a killed peer of $count is noticed late"
done

# Stopped rather than dead: the others wait, and the launcher can still be ended.
start_long_run 2
kill -STOP "$(echo "$peers" | tail -n 1)"
sleep 0.3
kill -TERM $launcher
expect_end 143 "SIGTERM with a stopped peer"

start_long_run 3
kill -HUP $launcher
expect_end 129 "SIGHUP"
[ ! -s "$work/err" ] || fail "SIGHUP prints: $(cat "$work/err")"

# A shell starts background jobs with SIGINT ignored, and so it must stay; timeout gives it back.
expect_status 124 timeout -s INT 1 "$msg" --messages 100000000

start_long_run 2
kill -KILL $launcher
expect_end 137 "a killed launcher"

# ---- an ordinary user with little lockable memory
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null && command -v prlimit >/dev/null; then
    as_user()
    {
        limit=$1
        shift
        prlimit --memlock="$limit:$limit" setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
            --bounding-set=-all "$@"
    }
    chmod 755 "$work"
    if as_user 8388608 "$msg" --version >/dev/null 2>&1; then
        expect_status 0 as_user 8388608 "$msg" --messages 500 --json /dev/stdout
        [ "$(value "$work/out" hooks wrong_bytes)" = 0 ] || fail "8 MiB of lockable memory: wrong bytes"
        expect_status 0 as_user 8388608 "$msg" --messages 10 --size 16M
        expect_status 0 as_user 65536 "$msg" --messages 200
        expect_status 1 as_user 65536 "$msg" --peers 16
        expect_message 'RLIMIT_MEMLOCK.*ulimit -l'
        # Whether the kernel counts the ring itself depends on its version; a message there must be.
        expect_status 1 as_user 4096 "$msg"
        expect_message 'lockable memory|RLIMIT_MEMLOCK'
    else
        echo "not tested: another user cannot execute $msg"
    fi
else
    echo "not tested: little lockable memory (needs root, setpriv and prlimit)"
fi
finish
