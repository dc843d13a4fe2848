# opalmem-msg: messages between processes from cached, pinned memory. All but
# main() is a convenience library, for the unit tests.
noinst_LTLIBRARIES += libmsg.la
libmsg_la_SOURCES = \
	tools/msg/msg.h \
	tools/msg/msg_channel.c tools/msg/msg_channel.h \
	tools/msg/msg_control.c tools/msg/msg_control.h \
	tools/msg/msg_feed.c tools/msg/msg_feed.h \
	tools/msg/msg_json.c \
	tools/msg/msg_launch.c tools/msg/msg_launch.h \
	tools/msg/msg_options.c tools/msg/msg_options.h \
	tools/msg/msg_payload.c tools/msg/msg_payload.h \
	tools/msg/msg_peer.c tools/msg/msg_peer.h \
	tools/msg/msg_plan.c tools/msg/msg_plan.h \
	tools/msg/msg_random.h \
	tools/msg/msg_report.c tools/msg/msg_report.h \
	tools/msg/msg_source_stack.c \
	tools/msg/msg_sources.c tools/msg/msg_sources.h \
	tools/msg/msg_util.c \
	tools/msg/msg_worker.c tools/msg/msg_worker.h
libmsg_la_LIBADD = libtoolutil.la

bin_PROGRAMS += opalmem-msg
opalmem_msg_SOURCES = tools/msg/msg_main.c
opalmem_msg_LDFLAGS = $(AM_LDFLAGS)
opalmem_msg_LDADD = libmsg.la libmachine.la libopalmem.la
dist_man_MANS += man/opalmem-msg.1
