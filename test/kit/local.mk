# The example components and their document, as somebody uses them who has the installed library alone.
kit_tests = test/kit/test_component_kit.sh test/kit/test_component_document.sh
TESTS += $(kit_tests)
EXTRA_DIST += $(kit_tests) test/kit/kit_common.sh
