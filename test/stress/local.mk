# The stress program of the registration caches, and short runs of it.
stress_scripts = test/stress/test_stress_uring.sh test/stress/test_stress_limits.sh test/stress/test_stress_twin.sh \
	test/stress/test_stress_fork.sh test/stress/test_stress_replay.sh
check_PROGRAMS += test/stress/opalmem_stress
TESTS += $(stress_scripts)
EXTRA_DIST += $(stress_scripts) test/stress/stress_common.sh test/stress/check-stress.sh

test_stress_opalmem_stress_SOURCES = test/stress/stress.h test/stress/stress_main.c test/stress/stress_options.c \
	test/stress/stress_ops.c test/stress/stress_pages.c test/stress/stress_caches.c test/stress/stress_judge.c \
	test/stress/stress_buffers.c test/stress/stress_release.c test/stress/stress_children.c test/stress/stress_report.c
test_stress_opalmem_stress_LDADD = libopalmem.la
