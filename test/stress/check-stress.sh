#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check-stress.sh SECONDS: the stress program with every memory component that is there, every provider, with limits and
# without, and with many children; SECONDS each. A component that notices nothing must let stale registrations through.
# From the build folder; OPALMEM_TEST_SEED repeats a run.
set -u
seconds=${1:?usage: check-stress.sh SECONDS}
failures=0
runs=0

# one COMPONENT OPTION...
one()
{
    component=$1
    shift
    set -- --mca memory "$component" --seconds "$seconds" ${OPALMEM_TEST_SEED:+--seed "$OPALMEM_TEST_SEED"} "$@"
    echo "== opalmem_stress $*"
    test/stress/opalmem_stress "$@"
    case $? in
    0) runs=$((runs + 1)) ;;
    77) ;;
    *) failures=$((failures + 1)) ;;
    esac
}

components=$(./opalmem-info --parsable | sed -n 's/^mca:memory:\([^:]*\):available:yes$/\1/p')
for component in $components; do
    if [ "$component" = noop ]; then
        one noop --mca rcache_base_unsafe 1 --expect-errors
        continue
    fi
    one "$component"
    one "$component" --weight fork=60 --weight thread=30
    one "$component" --max-count 24 --max-bytes 2000000
    one "$component" --provider none --weight fork=0
    one "$component" --provider none --weight fork=0 --max-count 24 --max-bytes 2000000
done
echo "check-stress: $runs good runs, $failures bad ones"
[ "$failures" -eq 0 ] && [ "$runs" -ne 0 ]
