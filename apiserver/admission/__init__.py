"""Admission: the chain and its plugins, one file each."""
