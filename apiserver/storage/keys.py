"""Keys: how a prefix becomes an etcd range, where namespace and name are. Which kind lives where is a row's matter."""

from typing import Final

ROOT: Final = "/registry/"  # upstream's default --etcd-prefix


def end_of_prefix(prefix: str) -> bytes:
    """The end of the etcd range that holds all keys with this prefix; of the empty prefix: every key."""
    raw = bytearray(prefix.encode())
    while raw:
        if raw[-1] < 0xFF:
            raw[-1] += 1
            return bytes(raw)
        raw.pop()
    return b"\0"


def start_of_prefix(prefix: str) -> bytes:
    """The start of that range: etcd refuses an empty key, a zero byte is the least there is."""
    return prefix.encode() or b"\0"


def after(key: str) -> str:
    """The least key that is greater than this one."""
    return key + "\0"


def relative(key: str, prefix: str) -> str:
    """What follows the prefix: `NS/NAME`, or `NAME` for what has no namespace."""
    return key[len(prefix) :]


def split(tail: str, namespaced: bool) -> tuple[str, str]:
    """Namespace ("" for cluster-scoped kinds) and name out of the relative part of a key."""
    if not namespaced:
        return "", tail
    namespace, _, name = tail.partition("/")
    return namespace, name
