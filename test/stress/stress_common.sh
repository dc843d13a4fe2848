# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# For the short runs of opalmem_stress in make check; read with ".". The program says itself, by 77, what is missing here.
# OPALMEM_TEST_SECONDS changes how long each run takes; OPALMEM_TEST_SEED repeats one.

top_builddir=${top_builddir:-.}
stress=$top_builddir/test/stress/opalmem_stress
seconds=${OPALMEM_TEST_SECONDS:-2.5}

skip()
{
    echo "SKIP: $*"
    exit 77
}

# run OPTION...: the verdict of the program is that of the test.
run()
{
    if [ -n "${OPALMEM_TEST_SEED:-}" ]; then
        set -- --seed "$OPALMEM_TEST_SEED" "$@"
    fi
    echo "opalmem_stress --seconds $seconds $*"
    "$stress" --seconds "$seconds" "$@"
    exit $?
}
