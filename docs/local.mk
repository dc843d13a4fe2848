# Documents, installed beside the library.
dist_doc_DATA += docs/company.md docs/coverage.md docs/embedding.md docs/release-paths.md docs/writing-a-component.md docs/interposition.md docs/verbs.md
dist_man_MANS += man/opalmem-components.7 man/opalmem-mca-params.5
