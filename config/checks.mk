# Helper targets: lint, sanitizers, symbols, headers.
