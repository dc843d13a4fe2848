# Documents, installed beside the library.
dist_doc_DATA += docs/choosing-a-component.md
dist_doc_DATA += docs/company.md
dist_doc_DATA += docs/coverage.md
dist_doc_DATA += docs/embedding.md
dist_doc_DATA += docs/interposition.md
dist_doc_DATA += docs/rcache-cost.md $(wildcard $(srcdir)/docs/rcache-*.svg)
dist_doc_DATA += docs/rcache-limits.md
dist_doc_DATA += docs/rcache-overlaps.md
dist_doc_DATA += docs/rcache-protocol.md
dist_doc_DATA += docs/release-paths.md
dist_doc_DATA += docs/statistics.md
dist_doc_DATA += docs/writing-a-component.md
dist_doc_DATA += docs/stress.md
dist_doc_DATA += docs/writing-a-provider.md
dist_doc_DATA += docs/verbs.md
dist_man_MANS += man/opalmem-components.7 man/opalmem-mca-params.5
