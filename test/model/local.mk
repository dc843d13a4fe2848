# Models of the protocols; `make check-model` is the same by itself.
TESTS += test/model/check-model.sh
long_tests += test/model/check-model.sh
EXTRA_DIST += test/model/check-model.sh test/model/windows.pml \
    test/model/rcache-references.pml test/model/rcache-alone.pml test/model/rcache-pending.pml test/model/rcache-register.pml \
    test/model/rcache-mutex.pml test/model/rcache-growth.pml test/model/userfaultfd-lookup.pml test/model/userfaultfd-discard.pml
