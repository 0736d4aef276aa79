"""Semantic checks shared by kinds. Structure (types, unknown fields) is machinery.api.schema."""
