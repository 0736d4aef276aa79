"""Tests of the controllers against the real API server and etcd."""
