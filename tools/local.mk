# SPDX-License-Identifier: BSD-3-Clause
# Programs.
run_preloaddir = $(opalmem_componentdir)/run
include tools/util/local.mk
include tools/machine/local.mk
include tools/info/local.mk
include tools/coverage/local.mk
include tools/top/local.mk
include tools/completion/local.mk
if HAVE_LIBURING
include tools/msg/local.mk
if LINUX_ARCH
include tools/run/local.mk
endif
endif
