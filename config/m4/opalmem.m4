# SPDX-License-Identifier: BSD-3-Clause
# The project's own configure checks, in the order configure.ac calls them.

# Before the first test of the compiler: where 32-bit libraries are missing, that test would only
# say that the compiler makes no programs.
AC_DEFUN([OPALMEM_REFUSE_32_BITS], [
    AS_CASE([" $CC $CPPFLAGS $CFLAGS $LDFLAGS "],
        [*" -m32 "* | *" -mx32 "* | *" -m16 "*],
        [AC_MSG_ERROR([opalmem needs 64 bits: take -m32 or -mx32 out of CC, CFLAGS, CPPFLAGS and LDFLAGS])])
])

# Nothing tells before make install, and that does not tell why.
AC_DEFUN([OPALMEM_REFUSE_BLANKS], [
    for opalmem_folder in "prefix=$prefix" "exec-prefix=$exec_prefix" "libdir=$libdir" "bindir=$bindir" "includedir=$includedir"; do
        AS_CASE([$opalmem_folder], [*@<:@\ \	@:>@*],
            [AC_MSG_ERROR([--$opalmem_folder: libtool cannot install into a folder with a blank in its name])])
    done
])

AC_DEFUN([OPALMEM_CHECK_PLATFORM], [
    AC_CANONICAL_HOST
    AS_CASE([$host_os], [linux*], [], [AC_MSG_ERROR([opalmem needs Linux, not $host_os])])
    AS_CASE([$host_cpu],
        [x86_64], [opalmem_linux_arch=x86_64],
        [aarch64], [opalmem_linux_arch=aarch64],
        [opalmem_linux_arch=none])
    AC_CHECK_SIZEOF([void *])
    AS_IF([test "$ac_cv_sizeof_void_p" != 8],
        [AC_MSG_ERROR([opalmem needs 64 bits: pointers of $CC have $ac_cv_sizeof_void_p bytes, not 8])])
    AM_CONDITIONAL([LINUX_ARCH_X86_64], [test $opalmem_linux_arch = x86_64])
    AM_CONDITIONAL([LINUX_ARCH_AARCH64], [test $opalmem_linux_arch = aarch64])
    AM_CONDITIONAL([LINUX_ARCH], [test $opalmem_linux_arch != none])
    # glibc 2.39: opalmem-run wraps it where it is.
    AC_CHECK_FUNC([pidfd_spawn])
    AM_CONDITIONAL([HAVE_PIDFD_SPAWN], [test $ac_cv_func_pidfd_spawn = yes])
    AX_PTHREAD_FLAGS
])

AC_DEFUN([AX_PTHREAD_FLAGS], [
    CFLAGS="$CFLAGS -pthread"
    AC_SEARCH_LIBS([dlopen], [dl])
])

AC_DEFUN([OPALMEM_CHECK_SYMBOL_PREFIX], [
    AC_ARG_WITH([symbol-prefix],
        [AS_HELP_STRING([--with-symbol-prefix=NAME], [prefix of every symbol of the library @<:@opalmem_@:>@])],
        [], [with_symbol_prefix=opalmem_])
    AS_IF([test "x$with_symbol_prefix" = xyes || test "x$with_symbol_prefix" = xno ||
            { echo "$with_symbol_prefix" | grep -vqx '@<:@A-Za-z_@:>@@<:@A-Za-z0-9_@:>@*'; }],
        [AC_MSG_ERROR([--with-symbol-prefix needs a C identifier, not "$with_symbol_prefix"])])
    AC_SUBST([OPALMEM_SYMBOL_PREFIX], [$with_symbol_prefix])
])

# Part of another project: a convenience library, and nothing that is installed. Its components are all linked
# in, and it looks for others only where it is told to: those on the system belong to an installed copy.
AC_DEFUN([OPALMEM_CHECK_EMBEDDED], [
    AC_ARG_ENABLE([embedded],
        [AS_HELP_STRING([--enable-embedded],
            [build only libopalmem_embedded.la, for linking into a library of another project; install nothing])],
        [], [enable_embedded=no])
    AS_CASE([$enable_embedded], [yes | no], [],
        [AC_MSG_ERROR([--enable-embedded takes no value, not "$enable_embedded"])])
    AC_ARG_WITH([component-dir],
        [AS_HELP_STRING([--with-component-dir=DIR],
            [components as DSOs lie in DIR @<:@LIBDIR/opalmem; embedded: nowhere@:>@])],
        [], [with_component_dir=default])
    AS_CASE([$with_component_dir],
        [default], [AS_IF([test $enable_embedded = yes], [OPALMEM_COMPONENT_DIR=], [OPALMEM_COMPONENT_DIR='${libdir}/opalmem'])],
        [*:* | *[\"\'\$\\]*], [AC_MSG_ERROR([--with-component-dir: no colon, quote, dollar or backslash may be in "$with_component_dir"])],
        [/*], [OPALMEM_COMPONENT_DIR=$with_component_dir],
        [no], [OPALMEM_COMPONENT_DIR=],
        [AC_MSG_ERROR([--with-component-dir needs an absolute path, not "$with_component_dir"])])
    AC_SUBST([OPALMEM_COMPONENT_DIR])
    AM_CONDITIONAL([EMBEDDED], [test $enable_embedded = yes])
    AM_COND_IF([EMBEDDED], [AC_DEFINE([OPALMEM_EMBEDDED], [1], [part of another project])])
])

# Old linkers take a version script that names symbols of optional parts; new ones of LLVM have to be told.
AC_DEFUN([OPALMEM_VERSION_SCRIPT], [
    AC_CACHE_CHECK([whether the linker knows --undefined-version], [opalmem_cv_undefined_version], [
        opalmem_save_LDFLAGS=$LDFLAGS
        LDFLAGS="$LDFLAGS -Wl,--undefined-version"
        AC_LINK_IFELSE([AC_LANG_PROGRAM], [opalmem_cv_undefined_version=yes], [opalmem_cv_undefined_version=no])
        LDFLAGS=$opalmem_save_LDFLAGS])
    OPALMEM_VERSION_LDFLAGS="-Wl,--version-script=opalmem.map"
    AS_IF([test $opalmem_cv_undefined_version = yes],
        [OPALMEM_VERSION_LDFLAGS="$OPALMEM_VERSION_LDFLAGS -Wl,--undefined-version"])
    AC_SUBST([OPALMEM_VERSION_LDFLAGS])
])

# OPALMEM_OPTIONAL(option, VARIABLE, Debian package, what is lost, check that sets have_VARIABLE)
AC_DEFUN([OPALMEM_OPTIONAL], [
    AC_ARG_WITH([$1], [AS_HELP_STRING([--without-$1], [leave $1 out: $4])], [], [with_$1=auto])
    have_$2=no
    AS_IF([test "x$with_$1" != xno], [$5])
    AS_IF([test "x$with_$1" = xyes && test $have_$2 = no],
        [AC_MSG_ERROR([--with-$1 was given, but $1 was not found (Debian package: $3)])])
    AS_IF([test $have_$2 = yes],
        [AC_DEFINE([OPALMEM_HAVE_$2], [1], [$1 is used])
         OPALMEM_LOST_$2=],
        [OPALMEM_LOST_$2=" (without it: $4; Debian package: $3)"])
    AM_CONDITIONAL([HAVE_$2], [test $have_$2 = yes])
])

AC_DEFUN([OPALMEM_OPTIONAL_LIBRARIES], [
    OPALMEM_OPTIONAL([hwloc], [HWLOC], [libhwloc-dev],
        [reports show no NUMA nodes and no processor topology],
        [PKG_CHECK_MODULES([HWLOC], [hwloc >= 2.0], [have_HWLOC=yes], [have_HWLOC=no])])
    OPALMEM_OPTIONAL([libltdl], [LTDL], [libltdl-dev],
        [components cannot be loaded at run time],
        [AC_CHECK_HEADER([ltdl.h], [AC_CHECK_LIB([ltdl], [lt_dladvise_init],
            [have_LTDL=yes; LTDL_LIBS=-lltdl])])])
    AC_SUBST([LTDL_LIBS])
    OPALMEM_OPTIONAL([libibverbs], [IBVERBS], [libibverbs-dev],
        [no registration provider "verbs", opalmem-info does not list RDMA devices],
        [PKG_CHECK_MODULES([IBVERBS], [libibverbs >= 1.8.28], [have_IBVERBS=yes], [have_IBVERBS=no])])
    OPALMEM_OPTIONAL([liburing], [LIBURING], [liburing-dev],
        [no registration provider "uring": opalmem-msg is not built],
        [PKG_CHECK_MODULES([LIBURING], [liburing >= 2.2], [have_LIBURING=yes], [have_LIBURING=no])])
    OPALMEM_OPTIONAL([ncurses], [NCURSES], [libncurses-dev],
        [opalmem-top has no screen, only --batch and --json],
        [PKG_CHECK_MODULES([NCURSES], [ncurses >= 6], [have_NCURSES=yes], [have_NCURSES=no])])
])

AC_DEFUN([OPALMEM_CHECK_LIBRARY], [
    PKG_CHECK_MODULES([CHECK], [check >= 0.13], [have_check=yes], [have_check=no])
    AM_CONDITIONAL([HAVE_CHECK], [test $have_check = yes])
])

# Lists of components: each one is static or a DSO.
m4_define([opalmem_memory_components], [kdreg linux noop ummunotify userfaultfd])

AC_DEFUN([OPALMEM_COMPONENTS], [
    AC_ARG_ENABLE([mca-dso],
        [AS_HELP_STRING([--enable-mca-dso@<:@=LIST@:>@],
            [build all components, or those in LIST (memory-linux,memory-noop,memory-userfaultfd or memory), as DSOs; rcache-grdma is always linked in: it uses what the library exports to nobody])],
        [], [enable_mca_dso=no])
    opalmem_dso_list=
    AS_CASE([$enable_mca_dso],
        [no], [],
        [yes], [for c in opalmem_memory_components; do opalmem_dso_list="$opalmem_dso_list $c"; done],
        [for item in `echo "$enable_mca_dso" | tr , ' '`; do
            found=no
            for c in opalmem_memory_components; do
                AS_IF([test $item = memory || test $item = memory-$c],
                    [opalmem_dso_list="$opalmem_dso_list $c"; found=yes])
            done
            AS_IF([test $found = no],
                [AC_MSG_ERROR([--enable-mca-dso: no component "$item"; there are: memory, opalmem_memory_components with memory- before])])
         done])
    AS_IF([test -n "$opalmem_dso_list" && test $have_LTDL = no],
        [AC_MSG_ERROR([--enable-mca-dso needs libltdl (Debian package: libltdl-dev)])])
    AS_IF([test -n "$opalmem_dso_list" && test $enable_embedded = yes],
        [AC_MSG_ERROR([--enable-mca-dso and --enable-embedded exclude each other: an embedded copy has its components linked in])])
    AS_IF([test -n "$opalmem_dso_list" && test -z "$OPALMEM_COMPONENT_DIR"],
        [AC_MSG_ERROR([--enable-mca-dso and --without-component-dir exclude each other])])
    opalmem_static_list=
    m4_foreach_w([component], opalmem_memory_components, [
        opalmem_is_dso=no
        for c in $opalmem_dso_list; do
            AS_IF([test $c = component], [opalmem_is_dso=yes])
        done
        AS_IF([test $opalmem_is_dso = no], [opalmem_static_list="$opalmem_static_list component"])
        AM_CONDITIONAL(MEMORY_[]component[]_DSO, [test $opalmem_is_dso = yes])
        AS_IF([test $opalmem_is_dso = no],
            [AC_DEFINE(OPALMEM_STATIC_MEMORY_[]m4_toupper(component), [1], [this component is linked in])])
    ])
    AM_CONDITIONAL([ANY_DSO], [test -n "$opalmem_dso_list"])
    AC_SUBST([OPALMEM_DSO_LIST], [$opalmem_dso_list])
    AC_SUBST([OPALMEM_STATIC_LIST], [$opalmem_static_list])
])

AC_DEFUN([OPALMEM_WARNINGS], [
    AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])], [], [enable_werror=no])
    WARN_CFLAGS="-Wall -Wextra -Wshadow -Wpointer-arith -Wcast-align -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings -Wformat=2"
    AS_IF([test $enable_werror = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
    AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([OPALMEM_SANITIZER], [
    AC_ARG_ENABLE([sanitizer],
        [AS_HELP_STRING([--enable-sanitizer=NAME], [build with -fsanitize=NAME: address,undefined or thread])],
        [], [enable_sanitizer=no])
    AS_IF([test "x$enable_sanitizer" != xno],
        [CFLAGS="$CFLAGS -fsanitize=$enable_sanitizer -fno-omit-frame-pointer -g"
         CXXFLAGS="$CXXFLAGS -fsanitize=$enable_sanitizer -fno-omit-frame-pointer -g"
         LDFLAGS="$LDFLAGS -fsanitize=$enable_sanitizer"])
    AS_CASE([$enable_sanitizer], [*thread*], [opalmem_tsan=yes], [opalmem_tsan=no])
    AM_CONDITIONAL([SANITIZE_THREAD], [test $opalmem_tsan = yes])
    AM_CONDITIONAL([SANITIZE], [test "x$enable_sanitizer" != xno])
])

# OPALMEM_QUOTE(NAME, VALUE): substitute OPALMEM_QUOTED_NAME, the value as the inside of a C string on one line.
AC_DEFUN([OPALMEM_QUOTE], [
    AC_SUBST([OPALMEM_QUOTED_$1],
        ["`AS_ECHO(["$2"]) | tr '\\n' ' ' | $SED 's/^  *//; s/  *$//; s/[[\\\\"]]/\\\\&/g'`"])
])

# What opalmem-info --config tells.
AC_DEFUN([OPALMEM_DESCRIBE], [
    OPALMEM_QUOTE([ARGUMENTS], [$ac_configure_args])
    OPALMEM_QUOTE([HOST], [$host])
    OPALMEM_QUOTE([CC], [$CC])
    OPALMEM_QUOTE([CPPFLAGS], [$CPPFLAGS])
    OPALMEM_QUOTE([CFLAGS], [$CFLAGS])
    OPALMEM_QUOTE([LDFLAGS], [$LDFLAGS])
    OPALMEM_QUOTE([LIBS], [$LIBS])
])

# Where bash looks for completions, if that is below the prefix; else where it looks below any prefix in $XDG_DATA_DIRS.
AC_DEFUN([OPALMEM_BASH_COMPLETION], [
    AC_ARG_WITH([bash-completion-dir],
        [AS_HELP_STRING([--with-bash-completion-dir=DIR],
            [folder for the completions of bash @<:@DATADIR/bash-completion/completions@:>@; no: do not install them])],
        [], [with_bash_completion_dir=yes])
    AS_IF([test "x$with_bash_completion_dir" = xyes],
        [opalmem_prefix=$prefix
         AS_IF([test "x$opalmem_prefix" = xNONE], [opalmem_prefix=$ac_default_prefix])
         with_bash_completion_dir=`$PKG_CONFIG --variable=completionsdir bash-completion 2>/dev/null`
         AS_CASE([$with_bash_completion_dir],
            ["$opalmem_prefix"/*], [with_bash_completion_dir="\${prefix}${with_bash_completion_dir@%:@"$opalmem_prefix"}"],
            [with_bash_completion_dir='${datadir}/bash-completion/completions'])])
    AC_SUBST([bashcompletiondir], [$with_bash_completion_dir])
    AM_CONDITIONAL([BASH_COMPLETION], [test "x$with_bash_completion_dir" != xno])
])

AC_DEFUN([OPALMEM_SUMMARY], [
    echo "
opalmem $PACKAGE_VERSION
  compiler            $CC $CFLAGS
  embedded            $enable_embedded
  symbol prefix       $OPALMEM_SYMBOL_PREFIX
  component folder    ${OPALMEM_COMPONENT_DIR:-none}
  static components  ${OPALMEM_STATIC_LIST:- none}
  DSO components     ${OPALMEM_DSO_LIST:- none}
  linux patches code  `test $opalmem_linux_arch = none && echo "no: not written for $host_cpu" || echo yes`
  hwloc               $have_HWLOC$OPALMEM_LOST_HWLOC
  libltdl             $have_LTDL$OPALMEM_LOST_LTDL
  libibverbs          $have_IBVERBS$OPALMEM_LOST_IBVERBS
  liburing            $have_LIBURING$OPALMEM_LOST_LIBURING
  ncurses             $have_NCURSES$OPALMEM_LOST_NCURSES
  check               $have_check`test $have_check = no && echo ' (make check is not possible; Debian package: check)'`
"
])
