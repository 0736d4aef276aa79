"""Brings a cluster up and down on this machine: keys, namespaces, processes. Components are started, never imported."""
