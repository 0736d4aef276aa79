"""The audit log: who asked for what, and what came of it. The filter that watches requests is filters/audit."""
