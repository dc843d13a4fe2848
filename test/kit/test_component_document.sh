#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck source-path=SCRIPTDIR disable=SC1091,SC2154 # the upper Makefile sets top_srcdir; kit_common.sh the rest
# docs/writing-a-component.md, followed literally in an empty folder. And each mistake that it lists is made: the
# message is the one that the document quotes.
set -eu
. "$top_srcdir/test/kit/kit_common.sh"
document=$top_srcdir/docs/writing-a-component.md

# ---- The first component ----
mkdir -p "$componentdir" "$work/empty"
cd "$work/empty"
# A block behind <!-- file NAME --> is that file, one behind <!-- run --> a line of the script.
awk '/^<!-- file /{ file = $3 } /^<!-- run -->/{ file = "commands" }
    /^```$/ { on = 0; file = "" } on { print > out } /^```./ { if (file != "") { on = 1; out = file } }' "$document"
for file in mca_memory_flush.c count.c commands; do
    [ -s "$file" ] || fail "the document has no block $file"
done
sed -i "s|SYSTEM_DEFAULT|$componentdir|" commands # The library's own folder, where it is now.
if [ "$(opalmem-info --parsable | grep -c '^mca:memory:linux:selected:yes')" = 0 ]; then
    # Nothing else is noticed here: the program cannot register a callback. What can be seen is seen.
    sed -i '/^\.\/count/d' commands
    echo 'echo "1 event(s)"' >> commands
fi
sh -eux commands > "$work/out" 2>&1 || fail "the commands of the document"
has 'mca_memory_flush.so' "opalmem-info"
has '^1 event(s)' "the program"


# The answer to a wrong setting that it shows.
if OPALMEM_MCA_mca_base_component_path=$componentdir:$PWD ./count --mca memory linux+flush --mca memory_flush_signal HUP \
    > "$work/out" 2>&1; then fail "signal HUP is taken"; fi
grep -qxFf "$work/out" "$document" || fail "the document does not show this message"

# ---- Mistakes ----
copy_example
cp mca_memory_arena.c right.c
# told MESSAGE ARGUMENTS: the demo prints it, and so does the document.
told() {
    message=$1
    shift
    ./demo "$@" > "$work/out" 2>&1 || true
    grep -qF -- "$message" "$work/out" || fail "demo $*: expected $message"
    grep -qF -- "$message" "$document" || fail "the document does not say: $message"
}
# mistake SED-SCRIPT MESSAGE: of the component arena, when it is asked for.
mistake() {
    sed "$1" right.c > mca_memory_arena.c
    ! cmp -s mca_memory_arena.c right.c || fail "sed $1 changes nothing"
    kit all || fail "make all after $1"
    kit install || fail "make install after $1"
    told "$2" arena --mca memory arena
}
mistake 's/^MCA_BASE_COMPONENT_DECLSPEC //' 'it has no symbol mca_memory_arena_component'
mistake 's/\(mca_component_name = \)"arena"/\1"arenas"/' 'the component in it is called "arenas"'
mistake 's/OPAL_MEMORY_BASE_VERSION_2_0_0/MCA_BASE_VERSION_2_0_0, "rcache", 2, 0, 0/' \
    'made for framework "rcache", not memory'
mistake 's/OPAL_MEMORY_BASE_VERSION_2_0_0/MCA_BASE_VERSION_2_0_0, "memory", 3, 0, 0/' \
    'made for version 3.0 of framework memory, not 2.0'
mistake 's/OPAL_MEMORY_BASE_VERSION_2_0_0/3, 0, 0, "memory", 2, 0, 0/' 'made for version 3.0 of the MCA, not 2.0'
mistake 's/memory_base_component_t mca_memory_arena/base_component_t mca_memory_arena/; s/opal_base_component_t/mca_base_component_t/
    /memoryc_version = {/d; /^    },$/d; /memoryc_register/d; /memoryc_deregister/d' 'its component structure has'
mistake '/memoryc_register/d' 'its component structure has no memoryc_register, or no memoryc_deregister'
mistake '/struct_size/d' 'its module structure '
mistake 's/OPAL_MEMORY_MODULE_PUSH/& | OPAL_MEMORY_MODULE_POLLED/' 'it says that it is both PUSH and POLLED'
mistake 's/OPAL_MEMORY_MODULE_PUSH/OPAL_MEMORY_MODULE_POLLED/' 'it is POLLED but has no counter'
mistake 's/OPAL_MEMORY_MODULE_PUSH/& | OPAL_MEMORY_MODULE_LATE/' 'it is LATE but not POLLED'
mistake 's/^    \.memoryc_register/    .memoryc_process = disable,\n&/' \
    'it has a memoryc_process, which nobody would call: it is not POLLED'
mistake 's/OPAL_MEMORY_MODULE_PUSH/& | OPAL_MEMORY_MODULE_SLOW_VALID/' 'it is SLOW_VALID but has no valid function'
mistake 's/= component_priority;/= 200;/' 'has priority 200, not in 0 to 100: taken as 100'
mistake '/^static int open_arena/,/^}/c static int open_arena(void) { return OPAL_ERR_NOT_AVAILABLE; }' 'it does not open: '
mistake '/help = "Priority/,/info_level/s/info_level = 5/info_level = 12/' \
    'variable memory_arena_priority cannot be registered: its info_level is not in 1 to 9'
# An event that never comes, from a second POLLED component.
sed 's/OPAL_MEMORY_MODULE_PUSH/OPAL_MEMORY_MODULE_POLLED/
    s/\.enable = enable,/&\n    .counter = \&never,/; s/^static int enable(void);/static uint64_t never;\n&/' right.c > mca_memory_arena.c
kit install || fail "make install, with arena half polled"
told 'it is POLLED but has no memoryc_process' arena --mca memory arena
sed -i 's/^    \.memoryc_register/    .memoryc_process = disable,\n&/' mca_memory_arena.c
kit install || fail "make install, with arena polled"
./demo journal "$work/journal" --mca memory noop > "$work/out" 2>&1 || fail "making a journal"
told 'components arena and journal are both polled; only one of the two can run' \
    arena --mca memory arena+journal --mca memory_journal_file "$work/journal"
# As linked without --no-undefined.
sed 's/^static int open_arena(void)$/extern int forgotten(void);\n&/; s/^    arena = dlsym/    (void) forgotten();\n&/' right.c > mca_memory_arena.c
kit install COMPONENT_LDFLAGS="-shared -Wl,-z,now" || fail "make install, with a function that is nowhere"
told 'undefined symbol: forgotten' arena --mca memory arena

cp right.c mca_memory_arena.c
touch mca_memory_arena.c
kit all || fail "make all"
kit install || fail "make install"
told 'rcache_base_leave_pinned is 1, but no memory component notices releases here' \
    arena --mca memory arena --mca rcache_base_leave_pinned 1
mv "$componentdir/mca_memory_arena.so" "$componentdir/memory_arena.so"
told 'framework memory has no component "arena"' arena --mca memory arena
echo text > "$componentdir/mca_memory_arena.so"
told 'it is not a shared object' arena --mca memory arena
cp "$componentdir/memory_arena.so" "$componentdir/mca_memory_arena.so"
truncate -s -100 "$componentdir/mca_memory_arena.so"
told 'it is damaged: ' arena --mca memory arena
cp "$componentdir/memory_arena.so" "$componentdir/mca_memory_arena.so"
chmod o+w "$componentdir/mca_memory_arena.so"
told 'everybody may write to it' arena --mca memory arena
chmod o-w "$componentdir/mca_memory_arena.so"
demo arena --mca memory arena
has '^arena: selected' "the component without a mistake"
