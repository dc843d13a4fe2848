# Tests that need a kernel of their own: make check-vm runs them in a QEMU guest.
EXTRA_DIST += test/vm/check-vm.sh test/vm/get-kernel.sh test/vm/guest.sh test/vm/rdma.sh \
	test/vm/suites.sh test/vm/suite_common.sh test/vm/suite_tools.sh
noinst_HEADERS += test/vm/rdma_buffers.h test/vm/rdma_link.h
if HAVE_IBVERBS
vm_programs = test/vm/test_verbs_device test/vm/rdma_scene
check_PROGRAMS += $(vm_programs)
test_vm_test_verbs_device_SOURCES = test/vm/test_verbs_device.c
test_vm_test_verbs_device_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_vm_test_verbs_device_LDADD = libopalmem.la $(CHECK_LIBS) $(IBVERBS_LIBS)
test_vm_rdma_scene_SOURCES = test/vm/rdma_scene.c test/vm/rdma_buffers.c test/vm/rdma_link.c
test_vm_rdma_scene_CFLAGS = $(AM_CFLAGS) $(IBVERBS_CFLAGS)
test_vm_rdma_scene_LDADD = libopalmem.la $(IBVERBS_LIBS)
endif
# All that can be built: the table of suites.sh takes what is there.
check-vm: all $(check_PROGRAMS) $(check_LTLIBRARIES)
	bash $(srcdir)/test/vm/check-vm.sh . $(SUITES)
