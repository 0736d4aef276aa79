"""The command line against a real API server, and beside a real kubectl."""
