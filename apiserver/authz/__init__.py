"""Who may do what: the authorizers, the index behind RBAC, and upstream's default roles as data."""
