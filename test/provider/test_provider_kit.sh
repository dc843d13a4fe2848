#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source-path=SCRIPTDIR disable=SC1091,SC2154 # the upper Makefile sets top_srcdir; kit_common.sh the rest
# The example provider and the conformance suite as a stranger has them, outside the tree with what is installed;
# docs/writing-a-provider.md, followed literally; and each mistake that it lists is made and found, as it says.
set -eu
[ -z "${TEST_CFLAGS:-}" ] || { echo "SKIP: a build with a sanitizer, which does not lock memory"; exit 77; }
. "$top_srcdir/test/kit/kit_common.sh"
document=$top_srcdir/docs/writing-a-provider.md

example=$(find "$work/root" -type d -path '*/examples/provider')
[ -n "$example" ] || fail "the example was not installed"
cp -R "$example" "$work/kit"
chmod -R u+w "$work/kit"
mkdir "$work/empty"

# ---- The first provider ----
cd "$work/empty"
# A block behind <!-- file NAME --> is that file, one behind <!-- run --> a line of the script.
awk '/^<!-- file /{ file = $3 } /^<!-- run -->/{ file = "commands" }
    /^```$/ { on = 0; file = "" } on { print > out } /^```./ { if (file != "") { on = 1; out = file } }' "$document"
for file in first.c commands; do
    [ -s "$file" ] || fail "the document has no block $file"
done
sed -i "s|SUITE|$work/kit/suite|g" commands
sh -eu commands > "$work/out" 2>&1 || fail "the commands of the document"
has '^ok .* each_end_leaves_nothing' "the first provider"
# The message as the document shows it, but for the place in the suite, and sizes that depend on the machine.
sed 's/\.c:[0-9]*:/.c:/' "$document" > quoted
tail -n 2 "$work/out" | sed 's/\.c:[0-9]*:/.c:/' > shown
[ "$(getconf PAGESIZE)" != 4096 ] || while read -r line; do
    grep -qxF -- "$line" quoted || fail "the document does not show: $line"
done < shown
if ./first > "$work/out" 2>&1; then fail "mlock() passes"; fi
has '^not ok .* ended_after_the_memory_went' "the first provider"

# ---- The example ----
cd "$work/kit"
printf '#include <linux/io_uring.h>\nint flag = IORING_RSRC_REGISTER_SPARSE;\n' > headers.c
cc -c -o headers.o headers.c 2> "$work/out" || { echo "SKIP: kernel headers of Linux 5.19, for the example"; exit 77; }
kit all || fail "the example cannot be built"
status=0
./demo > "$work/out" 2>&1 || status=$?
[ "$status" -ne 77 ] || { echo "SKIP: io_uring with sparse buffer tables"; exit 77; }
[ "$status" -eq 0 ] || fail "demo"
has 'in use: .* 1024 KiB pinned' demo
./conformance > "$work/out" 2>&1 || fail "conformance"
has '^ok .* each_end_leaves_nothing' conformance
if ./conformance no_such_scene > "$work/out" 2>&1; then fail "an unknown scene passes"; fi
has 'there is no scene "no_such_scene"' conformance

# ---- Mistakes ----
# mistake SED-SCRIPT SCENE MESSAGE: the example with it fails the scene; both are in the document.
mistake() {
    sed "$1" ring_provider.c > bad.c
    ! cmp -s ring_provider.c bad.c || fail "sed $1 changes nothing"
    kit PROVIDER=bad.c -B conformance || fail "make after $1"
    if ./conformance "$2" > "$work/out" 2>&1; then fail "$1 passes $2"; fi
    has "^not ok .* $2" "$1"
    has "$3" "$1"
    grep -qF -- "$2" "$document" || fail "the document does not name $2"
    [ -z "$3" ] || [ "$(getconf PAGESIZE)" != 4096 ] || grep -qF -- "$3" "$document" ||
        fail "the document does not say: $3"
}
mistake 's/update_slot(provider, own->slot, NULL, 0)/0/' each_end_leaves_nothing '8192 bytes are registered, not 0'
mistake '/rc = update_slot(provider, own->slot/,/^}/s/give_slot(.*);//' limit_is_out_of_resource \
    'one was ended, and there is no room'
mistake 's/: OPAL_ERR_OUT_OF_RESOURCE; .*/: OPAL_ERROR;/' limit_is_out_of_resource 'registrations register_mem returned -1'
mistake 's/give_slot(provider, (uint32_t) slot);//;s/4096$/64/' memory_that_is_not_there \
    'it registers nothing any more'
mistake 's/errno = saved_errno;/errno = saved_errno + 1;/' in_hooks_it_leaves_errno_alone 'deregistration left errno'
mistake 's/int saved_errno = errno;/& void *volatile note = malloc(1); free(note);/' \
    in_hooks_it_allocates_nothing_and_takes_no_lock 'malloc, free or the like was called 400 times'
mistake 's/MADV_WIPEONFORK/MADV_NORMAL/;s/^    resources->after_fork.*//' fork_child_leaves_its_parents_registrations ''
mistake 's/^    close(provider->fd);.*//' closed_and_opened_again '180 rounds left 180 descriptors'
mistake 's/provider == NULL || state/state/' allocation_fails_in_open 'it crashes (signal 11)'
mistake 's/sizeof(ring_registration_t);/sizeof(mca_rcache_base_registration_t);/' each_end_leaves_nothing \
    'register_mem wrote behind sizeof_reg'
