#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Files of all sizes arrive whole, whatever else is asked for; what cannot be
# read is refused before anything starts.
# shellcheck source-path=SCRIPTDIR source=msg_common.sh
. "${top_srcdir:-.}/test/msg/msg_common.sh"
require_working_program

make_file()
{
    head -c "$2" /dev/urandom >"$work/$1"
}
make_file empty 0
make_file one 1
make_file below 4095
make_file page 4096
make_file above 1048577
make_file large 20971520
head -c 300000 /dev/zero >"$work/zeros"
total=$((1 + 4095 + 4096 + 1048577 + 20971520 + 300000))

set -- "$work/empty" "$work/one" "$work/below" "$work/page" "$work/above" "$work/large" "$work/zeros"
for options in '' '--size 1M' '--size 100-70000' '--pattern fresh' '--pattern realloc --size 4M'; do
    # shellcheck disable=SC2086 # options are several words
    expect_status 0 "$msg" $options --json "$work/json" -- "$@"
    [ "$(value "$work/json" hooks wrong_bytes)" = 0 ] || fail "\"$options\": wrong bytes"
    [ "$(value "$work/json" hooks bytes)" = "$total" ] ||
        fail "\"$options\": $(value "$work/json" hooks bytes) bytes arrived instead of $total"
done

# In a chain of three, each file goes over both links.
expect_status 0 "$msg" --peers 3 --json "$work/json" "$@"
bytes=$(value "$work/json" hooks bytes)
[ "$bytes" = $((2 * total)) ] || fail "three peers: $bytes bytes"

# Files again and again, until there are enough messages.
expect_status 0 "$msg" --messages 50 --json "$work/json" "$work/page" "$work/one"
messages=$(value "$work/json" hooks messages)
[ "$messages" = 50 ] || fail "50 messages of small files: $messages"

# Only empty files.
expect_status 0 "$msg" --json "$work/json" "$work/empty" "$work/empty"
messages=$(value "$work/json" hooks messages)
[ "$messages" = 2 ] || fail "two empty files: $messages messages"

# Without hooks the same files arrive wrong: the comparison can fail.
expect_status 0 "$msg" --compare --json "$work/json" --pattern mmap --size 64K "$work/large"
[ "$(value "$work/json" no-hooks wrong_bytes)" -gt 0 ] || fail "files: no wrong bytes without hooks"
[ "$(value "$work/json" none wrong_bytes)" = 0 ] || fail "files: wrong bytes without a cache"

# What cannot be sent.
expect_status 1 "$msg" "$work/large" "$work/nosuch"
expect_message 'cannot read the file ".*/nosuch": No such file'
expect_status 1 "$msg" "$work"
expect_message 'cannot send ".*": it is a directory'
expect_status 1 "$msg" /dev/null
expect_message 'cannot send "/dev/null": it is a device'
mkfifo "$work/fifo"
expect_status 1 timeout 60 "$msg" "$work/fifo"
expect_message 'not a regular file'
if [ "$(id -u)" -ne 0 ]; then
    chmod 000 "$work/one"
    expect_status 1 "$msg" "$work/one"
    expect_message 'cannot read the file ".*/one": Permission denied'
fi

# A name that begins with a dash, after "--".
cp "$work/page" "$work/--page"
(cd "$work" && mv ./--page ./-page)
program=$(cd "$top_builddir" && pwd)/opalmem-msg
(cd "$work" && "$program" -- -page >/dev/null) || fail "a file name that begins with a dash"
finish
