# Public headers, installed below include/opal.
opaldir = $(includedir)/opal
opal_HEADERS = \
	include/opal/constants.h \
	include/opal/opalmem.h \
	include/opal/opalmem_rename.h
nodist_opal_HEADERS = include/opal/opalmem_config.h
opal_memoryhooksdir = $(opaldir)/memoryhooks
opal_memoryhooks_HEADERS = \
	include/opal/memoryhooks/memory.h \
	include/opal/memoryhooks/memory_internal.h
opal_mcadir = $(opaldir)/mca
opal_mca_HEADERS = include/opal/mca/mca.h
opal_mca_basedir = $(opaldir)/mca/base
opal_mca_base_HEADERS = \
	include/opal/mca/base/base.h \
	include/opal/mca/base/cmd_line.h \
	include/opal/mca/base/var.h
opal_mca_memorydir = $(opaldir)/mca/memory
opal_mca_memory_HEADERS = include/opal/mca/memory/memory.h
opal_mca_rcachedir = $(opaldir)/mca/rcache
opal_mca_rcache_HEADERS = \
	include/opal/mca/rcache/rcache.h \
	include/opal/mca/rcache/provider.h
