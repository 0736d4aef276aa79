"""The command line, `skiff`: kubectl's verbs, flags, output and exit codes. Bringing a cluster up is `cluster`'s."""
