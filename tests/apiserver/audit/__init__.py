"""The audit log's parts."""
