# Public headers, installed below include/opal. Where this is part of another project nobody
# installs them: without a folder, make install passes over the list.
if EMBEDDED
opaldir =
else
opaldir = $(includedir)/opal
endif
opal_HEADERS = \
	include/opal/constants.h \
	include/opal/opalmem.h \
	include/opal/opalmem_rename.h
nodist_opal_HEADERS = include/opal/opalmem_config.h
opal_memoryhooksdir = $(if $(opaldir),$(opaldir)/memoryhooks)
opal_memoryhooks_HEADERS = \
	include/opal/memoryhooks/memory.h \
	include/opal/memoryhooks/memory_internal.h
opal_mcadir = $(if $(opaldir),$(opaldir)/mca)
opal_mca_HEADERS = include/opal/mca/mca.h
opal_mca_basedir = $(if $(opaldir),$(opaldir)/mca/base)
opal_mca_base_HEADERS = \
	include/opal/mca/base/base.h \
	include/opal/mca/base/cmd_line.h \
	include/opal/mca/base/var.h
opal_mca_memorydir = $(if $(opaldir),$(opaldir)/mca/memory)
opal_mca_memory_HEADERS = include/opal/mca/memory/memory.h
opal_mca_rcachedir = $(if $(opaldir),$(opaldir)/mca/rcache)
opal_mca_rcache_HEADERS = \
	include/opal/mca/rcache/rcache.h \
	include/opal/mca/rcache/rcache_hit.h \
	include/opal/mca/rcache/provider.h \
	include/opal/mca/rcache/stats_page.h
