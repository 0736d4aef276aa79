"""The scheduler: upstream's framework and plugin names, vectorised over the nodes. It imports no other component."""
