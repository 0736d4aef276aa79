"""End to end: a cluster made by `skiff up`, used as its users use it. Needs root, etcd and containerd."""
