"""The one error the cluster commands show to a person; nothing that a program should look into is here."""


class ClusterError(Exception):
    """Something on this machine is missing or in the way; the message says what to do about it."""
