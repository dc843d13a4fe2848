# The example components, outside the tree.
kit_tests = test/kit/test_component_kit.sh
TESTS += $(kit_tests)
EXTRA_DIST += $(kit_tests)
