# SPDX-License-Identifier: BSD-3-Clause
# opalmem inside another project that uses autoconf, automake and libtool: its configure.ac says
#
#   m4_include([opalmem/config/m4/opalmem_embed.m4])
#   ...
#   OPALMEM_EMBED([opalmem], [myrt_])
#
# and docs/embedding.md says the rest.

# OPALMEM_EMBED(FOLDER, PREFIX, [ARGUMENTS])
# FOLDER   where opalmem's sources are, seen from this configure.ac; a literal
# PREFIX   what each of its symbols begins with: not opalmem_, which an installed copy has
# ARGUMENTS  further ones for its configure, separated by blanks (--without-libibverbs --without-hwloc); shell variables may
#          be in it. What the user gives the outer configure is passed on as well.
# Call it before AC_OUTPUT. It has opalmem configured, and sets for Makefile.am:
# OPALMEM_EMBEDDED_CPPFLAGS  for what includes opal/opalmem.h
# OPALMEM_EMBEDDED_LIBS      for the LIBADD of the library that opalmem becomes a part of; libtool adds the libraries that it needs
# OPALMEM_EMBEDDED_LDFLAGS   for the LDFLAGS of that library
AC_DEFUN([OPALMEM_EMBED], [
    AC_CONFIG_SUBDIRS([$1])
    opalmem_embed_args="--enable-embedded --with-symbol-prefix=$2 $3"
    # Once: config.status --recheck comes with those of the last time.
    AS_CASE([" $ac_configure_args "],
        [*" '--enable-embedded' "*], [],
        [for opalmem_embed_arg in $opalmem_embed_args; do
            ac_configure_args="$ac_configure_args '$opalmem_embed_arg'"
         done])
    AC_SUBST([OPALMEM_EMBEDDED_CPPFLAGS], ['-I$(top_builddir)/$1/include -I$(top_srcdir)/$1/include'])
    AC_SUBST([OPALMEM_EMBEDDED_LIBS], ['$(top_builddir)/$1/libopalmem_embedded.la'])
    # Its code may be running in any thread, and is never unloaded; nothing is looked up while memory is being released.
    AC_SUBST([OPALMEM_EMBEDDED_LDFLAGS], ['-Wl,-z,nodelete -Wl,-z,now'])
])
