# linux: replaces the system-call sites of libc and ld.so.
noinst_LTLIBRARIES += libmca_memory_linux.la
libmca_memory_linux_la_SOURCES = \
	components/linux/linux_arch.h \
	components/linux/linux_calls.c \
	components/linux/linux_component.c \
	components/linux/linux_files.c \
	components/linux/linux_files.h \
	components/linux/linux_got.c \
	components/linux/linux_got.h \
	components/linux/linux_interpose.c \
	components/linux/linux_interpose.h \
	components/linux/linux_kernel.c \
	components/linux/linux_loss.c \
	components/linux/linux_malloc.c \
	components/linux/linux_malloc.h \
	components/linux/linux_maps.c \
	components/linux/linux_mechanism.c \
	components/linux/linux_mechanism.h \
	components/linux/linux_mremap.c \
	components/linux/linux_names.c \
	components/linux/linux_process.c \
	components/linux/linux_ranges.c \
	components/linux/linux_ranges.h \
	components/linux/linux_sanitizer.c \
	components/linux/linux_shm.c \
	components/linux/linux_slots.c \
	components/linux/linux_slots.h \
	components/linux/linux_spans.c \
	components/linux/linux_stacks.c \
	components/linux/linux_stacks.h \
	components/linux/linux_sys.h \
	components/linux/linux.h
libmca_memory_linux_la_CPPFLAGS = $(AM_CPPFLAGS)
if LINUX_ARCH
libmca_memory_linux_la_SOURCES += \
	components/linux/linux_find.c \
	components/linux/linux_guard.c \
	components/linux/linux_install.c \
	components/linux/linux_lock.c \
	components/linux/linux_pages.c \
	components/linux/linux_patch.c \
	components/linux/linux_search.c \
	components/linux/linux_selftest.c \
	components/linux/linux_stubs.c \
	components/linux/linux_texts.c
# A replaced call keeps vector registers, as the kernel does. What is attributed `cleanup` runs when a callback is left by
# unwinding.
libmca_memory_linux_la_CFLAGS = $(AM_CFLAGS) -mgeneral-regs-only -fexceptions
else
libmca_memory_linux_la_SOURCES += components/linux/linux_arch_none.c \
	components/linux/linux_facts_none.c components/linux/linux_sys_libc.c
libmca_memory_linux_la_CFLAGS = $(AM_CFLAGS)
endif
if LINUX_ARCH_X86_64
libmca_memory_linux_la_SOURCES += \
	components/linux/linux_code_x86_64.c \
	components/linux/linux_facts_x86_64.c \
	components/linux/linux_store_x86_64.c \
	components/linux/linux_sys_x86_64.c \
	components/linux/linux_trampoline_x86_64.S
endif
if LINUX_ARCH_AARCH64
libmca_memory_linux_la_SOURCES += \
	components/linux/linux_code_aarch64.c \
	components/linux/linux_facts_aarch64.c \
	components/linux/linux_store_aarch64.c \
	components/linux/linux_sys_aarch64.c \
	components/linux/linux_trampoline_aarch64.S
endif
if MEMORY_linux_DSO
opalmem_component_LTLIBRARIES += mca_memory_linux.la
mca_memory_linux_la_SOURCES =
mca_memory_linux_la_LIBADD = libmca_memory_linux.la libopalmem.la
# No symbol may be looked up within a call of the application.
mca_memory_linux_la_LDFLAGS = $(component_dso_ldflags) -Wl,-z,now
else
libmca_memory_linux_la_CPPFLAGS += -DMCA_BASE_COMPONENT_IS_STATIC
libopalmem_internal_la_LIBADD += libmca_memory_linux.la
endif
