"""Tests of apiserver.authn."""
