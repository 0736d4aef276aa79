"""Tests of apiserver.authz."""
