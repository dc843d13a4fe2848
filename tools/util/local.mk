# SPDX-License-Identifier: BSD-3-Clause
# What the tools share.
noinst_LTLIBRARIES += libtoolutil.la
libtoolutil_la_SOURCES = tools/util/json.c tools/util/json.h
