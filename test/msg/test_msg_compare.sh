#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The proof that the hooks matter: the same messages with a cache that nothing
# tells of releases arrive wrong. If they did not, the test could not fail.
# shellcheck source-path=SCRIPTDIR source=msg_common.sh
. "${top_srcdir:-.}/test/msg/msg_common.sh"
require_working_program

for pattern in $patterns; do
    expect_status 0 "$msg" --compare --pattern "$pattern" --messages 600 --json "$work/json"
    for mode in none hooks; do
        [ "$(value "$work/json" $mode wrong_bytes)" = 0 ] || fail "$pattern: wrong bytes in column $mode"
    done
    wrong=$(value "$work/json" no-hooks wrong_bytes)
    [ "$wrong" -gt 0 ] || fail "$pattern: no wrong bytes without hooks: the test does not provoke what it must"
    [ "$(value "$work/json" none hits)" = 0 ] || fail "$pattern: hits without a cache"
    [ "$(value "$work/json" no-hooks component)" = '"noop"' ] ||
        fail "$pattern: no-hooks runs with $(value "$work/json" no-hooks component)"
    [ "$(value "$work/json" none bytes)" = "$(value "$work/json" hooks bytes)" ] ||
        fail "$pattern: the columns sent different messages"
    echo "$pattern: $wrong wrong bytes without hooks"
    for word in none no-hooks hooks 'wrong bytes' 'hit rate' machine elapsed; do
        grep -q "$word" "$work/out" || fail "$pattern: the table lacks \"$word\""
    done
done

# Alone, the mode that corrupts by design is no failure.
expect_status 0 "$msg" --cache no-hooks --messages 600
[ ! -s "$work/err" ] || fail "no-hooks alone prints on stderr: $(cat "$work/err")"
finish
