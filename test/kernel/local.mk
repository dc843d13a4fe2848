# Test drivers for the guest of make check-vm, and their own tests. The drivers are
# GPL-2.0, are no part of the library, and are never installed.
EXTRA_DIST += test/kernel/README.md test/kernel/build.sh test/kernel/common/region_set.h test/kernel/common/read_only.h \
	test/kernel/kdreg2/Kbuild test/kernel/kdreg2/abi.h test/kernel/kdreg2/kdreg2.h test/kernel/kdreg2/kdreg2_main.c \
	test/kernel/kdreg2/kdreg2_ioctl.c test/kernel/kdreg2/kdreg2_regions.c test/kernel/kdreg2/kdreg2_window.c \
	test/kernel/ummunotify/Kbuild test/kernel/ummunotify/abi.h test/kernel/ummunotify/ummunotify.h \
	test/kernel/ummunotify/ummunotify_main.c test/kernel/ummunotify/ummunotify_regions.c
noinst_HEADERS += test/kernel/device_test.h test/kernel/device_scenes.h test/kernel/device_threads.h test/kernel/kdreg2_device.h test/kernel/ummunotify_device.h
kernel_programs = test/kernel/test_kdreg2_abi test/kernel/test_kdreg2_races test/kernel/test_ummunotify_abi
check_PROGRAMS += $(kernel_programs)
test_kernel_test_kdreg2_abi_SOURCES = test/kernel/test_kdreg2_abi.c
test_kernel_test_kdreg2_abi_LDADD = $(CHECK_LIBS)
test_kernel_test_kdreg2_races_SOURCES = test/kernel/test_kdreg2_races.c
test_kernel_test_kdreg2_races_LDADD = $(CHECK_LIBS)
test_kernel_test_ummunotify_abi_SOURCES = test/kernel/test_ummunotify_abi.c
test_kernel_test_ummunotify_abi_LDADD = $(CHECK_LIBS)
