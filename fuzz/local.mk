# Fuzz targets. `make check` runs each one over its corpus; `make fuzz` builds them for libFuzzer (config/fuzz.sh).
fuzz_replays = fuzz/replay_params fuzz/replay_selection fuzz/replay_numbers fuzz/replay_cmd_line
check_PROGRAMS += $(fuzz_replays)
TESTS += $(fuzz_replays)
EXTRA_PROGRAMS += fuzz/fuzz_params fuzz/fuzz_selection fuzz/fuzz_numbers fuzz/fuzz_cmd_line
EXTRA_DIST += fuzz/corpus

fuzz_replay_params_SOURCES = fuzz/replay.c fuzz/fuzz.h fuzz/fuzz_params.c
fuzz_replay_params_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_TARGET='"params"'
fuzz_replay_params_LDADD = libopalmem_internal.la
fuzz_replay_selection_SOURCES = fuzz/replay.c fuzz/fuzz.h fuzz/fuzz_selection.c
fuzz_replay_selection_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_TARGET='"selection"'
fuzz_replay_selection_LDADD = libopalmem_internal.la
fuzz_replay_numbers_SOURCES = fuzz/replay.c fuzz/fuzz.h fuzz/fuzz_numbers.c
fuzz_replay_numbers_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_TARGET='"numbers"'
fuzz_replay_numbers_LDADD = libopalmem_internal.la
fuzz_replay_cmd_line_SOURCES = fuzz/replay.c fuzz/fuzz.h fuzz/fuzz_cmd_line.c
fuzz_replay_cmd_line_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_TARGET='"cmd_line"'
fuzz_replay_cmd_line_LDADD = libopalmem_internal.la

fuzz_fuzz_params_SOURCES = fuzz/fuzz.h fuzz/fuzz_params.c
fuzz_fuzz_params_LDADD = libopalmem_internal.la
fuzz_fuzz_params_LDFLAGS = -fsanitize=fuzzer
fuzz_fuzz_selection_SOURCES = fuzz/fuzz.h fuzz/fuzz_selection.c
fuzz_fuzz_selection_LDADD = libopalmem_internal.la
fuzz_fuzz_selection_LDFLAGS = -fsanitize=fuzzer
fuzz_fuzz_numbers_SOURCES = fuzz/fuzz.h fuzz/fuzz_numbers.c
fuzz_fuzz_numbers_LDADD = libopalmem_internal.la
fuzz_fuzz_numbers_LDFLAGS = -fsanitize=fuzzer
fuzz_fuzz_cmd_line_SOURCES = fuzz/fuzz.h fuzz/fuzz_cmd_line.c
fuzz_fuzz_cmd_line_LDADD = libopalmem_internal.la
fuzz_fuzz_cmd_line_LDFLAGS = -fsanitize=fuzzer
