"""The API server as a process, met by real clients."""
