# SPDX-License-Identifier: BSD-3-Clause
# Bash completion. One file serves both programs; bash finds it by the program's name.
EXTRA_DIST += tools/completion/opalmem-info
if BASH_COMPLETION
bashcompletion_DATA = tools/completion/opalmem-info
if HAVE_LIBURING
install-data-hook:
	cd '$(DESTDIR)$(bashcompletiondir)' && rm -f opalmem-msg && $(LN_S) opalmem-info opalmem-msg
uninstall-local:
	rm -f '$(DESTDIR)$(bashcompletiondir)/opalmem-msg'
endif
endif
