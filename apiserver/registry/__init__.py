"""The generic store: one engine for all kinds. The kinds themselves are rows in apiserver.resources."""
