/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder of component DSOs for each test, which the framework "fake" is opened from. */
#ifndef TEST_BASE_DSO_FIXTURE_H
#define TEST_BASE_DSO_FIXTURE_H

#include <stdint.h>

#include "base_test.h"

/** For install_module(): all bytes. */
#define WHOLE SIZE_MAX

/** The folder of this test; set by dso_setup(). */
extern const char *folder;

/** Fixture: an empty folder as the component path, and messages that are kept. */
void dso_setup(void);
void dso_teardown(void);

/** Where install_module() puts a component. */
void path_of(const char *name, char path[256]);

/** Open the base, and the framework "fake". @return As mca_base_framework_open(). */
int open_all(void);
void close_all(void);

/** Is a file whose path holds this text mapped into the process? */
bool is_mapped(const char *name);

/** Fail if there was a warning or an error. */
void expect_quiet(void);

/** Fail unless the component was not loaded, and its reason names its file and holds the cause. */
void expect_refused(const char *name, const char *cause);

#endif
