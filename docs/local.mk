# Documents, installed beside the library.
dist_doc_DATA += docs/writing-a-component.md
