# SPDX-License-Identifier: BSD-3-Clause
# Bash completion. One file serves all programs; bash finds it by the program's name.
EXTRA_DIST += tools/completion/opalmem-info
completion_links = opalmem-coverage opalmem-top
if HAVE_LIBURING
completion_links += opalmem-msg
if LINUX_ARCH
completion_links += opalmem-run
endif
endif
if BASH_COMPLETION
bashcompletion_DATA = tools/completion/opalmem-info
install-data-hook:
	cd '$(DESTDIR)$(bashcompletiondir)' && for link in $(completion_links); do \
		rm -f $$link && $(LN_S) opalmem-info $$link || exit 1; \
	done
uninstall-local:
	for link in $(completion_links); do rm -f '$(DESTDIR)$(bashcompletiondir)/'$$link; done
endif
