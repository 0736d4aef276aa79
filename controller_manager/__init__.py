"""kube-controller-manager's counterpart: the loops that make the cluster as its objects say, one file each."""
