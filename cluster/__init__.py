"""Brings a cluster up and down on this machine: keys, processes, node namespaces. It imports no component: it starts them."""
