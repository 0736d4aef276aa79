"""Tests of apiserver.filters."""
