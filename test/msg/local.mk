# opalmem-msg: its parts, and the program.
msg_tests = test/msg/test_msg_payload test/msg/test_msg_sources test/msg/test_msg_channel
msg_scripts = test/msg/test_msg_run.sh test/msg/test_msg_compare.sh test/msg/test_msg_files.sh \
	test/msg/test_msg_errors.sh
check_PROGRAMS += $(msg_tests)
TESTS += $(msg_tests) $(msg_scripts)
EXTRA_DIST += $(msg_scripts) test/msg/msg_common.sh

test_msg_test_msg_payload_SOURCES = test/msg/test_msg_payload.c
test_msg_test_msg_payload_LDADD = libmsg.la libopalmem.la $(CHECK_LIBS)

test_msg_test_msg_sources_SOURCES = test/msg/test_msg_sources.c
test_msg_test_msg_sources_LDADD = libmsg.la libopalmem.la $(CHECK_LIBS)

test_msg_test_msg_channel_SOURCES = test/msg/test_msg_channel.c
test_msg_test_msg_channel_LDADD = libmsg.la libopalmem.la $(CHECK_LIBS)
