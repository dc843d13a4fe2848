#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every pattern, with the default component: all bytes right, the cache used,
# and releases noticed.
# shellcheck source-path=SCRIPTDIR source=msg_common.sh
. "${top_srcdir:-.}/test/msg/msg_common.sh"
require_working_program

"$msg" --messages 2 --size 4K --json "$work/json" >/dev/null
[ "$(value "$work/json" hooks support_level)" -gt 0 ] || skip "no memory component notices releases here"

# run NAME HITS ARGUMENT...: 0 wrong bytes, some invalidations; HITS yes or no.
run()
{
    name=$1
    hits=$2
    shift 2
    expect_status 0 "$msg" --json "$work/json" "$@"
    [ "$(value "$work/json" hooks wrong_bytes)" = 0 ] || fail "$name: wrong bytes"
    [ "$(value "$work/json" hooks messages)" -gt 0 ] || fail "$name: no messages"
    if [ "$hits" = yes ]; then
        [ "$(value "$work/json" hooks hits)" -gt 0 ] || fail "$name: no hits"
    fi
    [ "$(sum_of_causes "$work/json" hooks)" -gt 0 ] || fail "$name: no invalidations"
    echo "$name: hits $(value "$work/json" hooks hits), invalidations $(sum_of_causes "$work/json" hooks)"
}

for pattern in $patterns; do
    case $pattern in
        fresh) run "$pattern" no --pattern "$pattern" --messages 400 ;;
        *) run "$pattern" yes --pattern "$pattern" --messages 400 ;;
    esac
done
run "small messages" yes --size 1-5000 --messages 4000
run "messages larger than the pipe" yes --size 3M-5M --messages 60
run "one large message each" no --pattern fresh --size 64M --messages 2
run "five peers" yes --peers 5 --messages 500
run "more peers than processors" yes --peers 24 --messages 500 --size 4K-64K
run "another seed" yes --seed 18446744073709551615 --messages 400
run "a small cache" yes --mca rcache_base_max_bytes 131072 --messages 400 --size 4K-64K

# A buffer that is reused nine times in ten is found in the cache as often.
expect_status 0 "$msg" --pattern reuse --size 64K --messages 3000 --json "$work/json"
rate=$(value "$work/json" hooks hit_rate)
awk -v rate="$rate" 'BEGIN { exit !(rate > 0.85) }' || fail "hit rate $rate of reuse"

# What the cache says is pinned is what the kernel says, and little next to all that was sent.
[ "$(value "$work/json" hooks pinned_bytes)" = "$(value "$work/json" hooks process_pinned_bytes)" ] ||
    fail "the cache pins $(value "$work/json" hooks pinned_bytes), the kernel" \
        "$(value "$work/json" hooks process_pinned_bytes)"

# The same seed gives the same messages, another one does not.
expect_status 0 "$msg" --seed 5 --messages 300 --json "$work/json1"
expect_status 0 "$msg" --seed 5 --messages 300 --json "$work/json2"
expect_status 0 "$msg" --seed 6 --messages 300 --json "$work/json3"
[ "$(value "$work/json1" hooks bytes)" = "$(value "$work/json2" hooks bytes)" ] || fail "same seed, other bytes"
[ "$(value "$work/json1" hooks bytes)" != "$(value "$work/json3" hooks bytes)" ] || fail "other seed, same bytes"
[ "$(value "$work/json1" hooks messages)" = 300 ] || fail "--messages 300 sends another number"
finish
