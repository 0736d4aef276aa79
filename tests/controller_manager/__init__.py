"""Tests of the controllers: their pure decisions by tables, and their parts without a server."""
