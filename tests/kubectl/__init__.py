"""Tests of the command line: pure parts here, against a real API server in tests/integration/kubectl."""
