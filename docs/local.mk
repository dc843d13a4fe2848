# Documents, installed beside the library.
<<<<<<< HEAD
dist_doc_DATA += docs/company.md docs/coverage.md docs/embedding.md docs/release-paths.md docs/statistics.md docs/writing-a-component.md docs/interposition.md
=======
dist_doc_DATA += docs/company.md docs/coverage.md docs/embedding.md docs/rcache-cost.md docs/release-paths.md \
	docs/writing-a-component.md docs/interposition.md $(wildcard $(srcdir)/docs/rcache-*.svg)
>>>>>>> w-bench
dist_man_MANS += man/opalmem-components.7 man/opalmem-mca-params.5
