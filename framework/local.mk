# The library: framework, rcache and the static components, as one libtool
# convenience library (for unit tests of internals) and as libopalmem.
noinst_LTLIBRARIES += libopalmem_internal.la

libopalmem_internal_la_SOURCES = \
	framework/rename_private.h \
	framework/opalmem.c framework/opalmem_internal.h \
	framework/base/base_internal.h \
	framework/base/mca_base_open.c \
	framework/base/mca_base_open.h \
	framework/base/mca_base_log.c \
	framework/base/mca_base_log.h \
	framework/base/mca_base_cmd_line.c \
	framework/base/mca_base_cmd_line.h \
	framework/base/mca_base_cmd_line_environ.c \
	framework/base/mca_base_cmd_line_parse.c \
	framework/base/mca_base_environ.c \
	framework/base/mca_base_file.c \
	framework/base/mca_base_file.h \
	framework/base/mca_base_file_parse.c \
	framework/base/mca_base_file_read.c \
	framework/base/mca_base_file_vars.c \
	framework/base/mca_base_path.c \
	framework/base/mca_base_path.h \
	framework/base/mca_base_var.c \
	framework/base/mca_base_var.h \
	framework/base/mca_base_var_def.c \
	framework/base/mca_base_var_info.c \
	framework/base/mca_base_var_parse.c \
	framework/base/mca_base_var_print.c \
	framework/base/mca_base_var_resolve.c \
	framework/base/mca_base_var_set.c \
	framework/base/mca_base_var_source.c \
	framework/base/mca_base_var_synonym.c \
	framework/base/mca_base_var_table.h \
	framework/base/mca_base_var_value.c \
	framework/base/mca_base_var_values.h \
	framework/base/mca_base_unknown.c \
	framework/base/mca_base_selection.c \
	framework/base/mca_base_selection.h \
	framework/base/mca_base_component.c \
	framework/base/mca_base_component.h \
	framework/base/mca_base_framework.c \
	framework/base/mca_base_explain.c \
	framework/base/mca_base_static.c \
	framework/base/mca_base_static.h \
	framework/base/mca_base_repository.c \
	framework/base/mca_base_repository.h \
	framework/base/mca_base_repository_file.c \
	framework/base/mca_base_repository_path.c \
	framework/base/mca_base_repository_vars.c \
	framework/base/mca_base_load_errors.c \
	framework/base/mca_base_load_errors.h \
	framework/base/mca_base_object.c \
	framework/base/mca_base_object.h \
	framework/hooks/hooks_internal.h \
	framework/hooks/memory_hooks.c \
	framework/hooks/release_windows.c \
	framework/memory/memory_base.h \
	framework/memory/memory_base.c \
	framework/memory/memory_changed.c \
	framework/memory/memory_composite.c \
	framework/memory/memory_static.c \
	framework/util/barrier.h \
	framework/util/sanitizers.h \
	framework/util/fork.c framework/util/fork.h \
	framework/util/strerror.c
if HAVE_LTDL
libopalmem_internal_la_SOURCES += framework/base/mca_base_repository_ltdl.c
else
libopalmem_internal_la_SOURCES += framework/base/mca_base_repository_none.c
endif
libopalmem_internal_la_CPPFLAGS = $(AM_CPPFLAGS) -DMCA_BASE_COMPONENT_IS_STATIC \
	-DOPALMEM_COMPONENTDIR='"$(opalmem_componentdir)"' -DOPALMEM_SYSCONFDIR='"$(sysconfdir)"'
# -fexceptions: what is attributed `cleanup` runs when a callback is left by unwinding.
libopalmem_internal_la_CFLAGS = $(AM_CFLAGS) -fexceptions $(LIBURING_CFLAGS) $(IBVERBS_CFLAGS)
libopalmem_internal_la_LIBADD = $(LTDL_LIBS) $(LIBURING_LIBS)

if EMBEDDED
noinst_LTLIBRARIES += libopalmem_embedded.la
libopalmem_embedded_la_SOURCES =
libopalmem_embedded_la_LIBADD = libopalmem_internal.la
else
# A patched process keeps running the library's code: it is never unloaded. Calls within the library go
# straight, which hooks notice, and nobody else can take them over. Only public names are exported.
lib_LTLIBRARIES += libopalmem.la
libopalmem_la_SOURCES =
libopalmem_la_LIBADD = libopalmem_internal.la
libopalmem_la_LDFLAGS = -version-info 0:0:0 -no-undefined -Wl,-Bsymbolic-functions -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now \
	$(OPALMEM_VERSION_LDFLAGS)
EXTRA_libopalmem_la_DEPENDENCIES = opalmem.map
CLEANFILES += opalmem.map
opalmem.map: include/opal/opalmem_rename.h config.status
	$(AM_V_GEN)sed -n -e '1i OPALMEM_0.1 {\nglobal:' -e 's/^#define [A-Za-z0-9_]* OPALMEM_NAME(\(.*\))$$/    $(OPALMEM_SYMBOL_PREFIX)\1;/p' \
		-e '$$a local:\n    *;\n};' $(top_srcdir)/include/opal/opalmem_rename.h > $@-t && mv $@-t $@
endif
