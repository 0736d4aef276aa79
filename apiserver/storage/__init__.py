"""Bytes under keys, with revisions: the only package that talks to etcd. It knows no kinds beyond what a cache must."""
