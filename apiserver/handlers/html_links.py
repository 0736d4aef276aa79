"""Links in HTML pages, each put through a function. Who wants it, and why, is `proxy`.

Upstream: apimachinery/pkg/util/proxy/transport.go (atomsToAttrs).
"""

import re
from collections.abc import Callable
from typing import Final

#: tag → the attributes that hold a URL
_ATTRIBUTES: Final = {
    b"a": (b"href",),
    b"applet": (b"codebase",),
    b"area": (b"href",),
    b"audio": (b"src",),
    b"base": (b"href",),
    b"blockquote": (b"cite",),
    b"body": (b"background",),
    b"button": (b"formaction",),
    b"command": (b"icon",),
    b"del": (b"cite",),
    b"embed": (b"src",),
    b"form": (b"action",),
    b"frame": (b"longdesc", b"src"),
    b"head": (b"profile",),
    b"html": (b"manifest",),
    b"iframe": (b"longdesc", b"src"),
    b"img": (b"longdesc", b"src", b"usemap"),
    b"input": (b"src", b"usemap", b"formaction"),
    b"ins": (b"cite",),
    b"link": (b"href",),
    b"object": (b"classid", b"codebase", b"data", b"usemap"),
    b"q": (b"cite",),
    b"script": (b"src",),
    b"source": (b"src",),
    b"video": (b"poster", b"src"),
}
_TAG: Final = re.compile(rb"<([A-Za-z]+)(\s[^<>]*)>")
_VALUE: Final = re.compile(rb"""(\s)([A-Za-z]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")


def rewritten(page: bytes, through: Callable[[str], str]) -> bytes:
    """The page with its links changed; what is no link stays byte for byte."""

    def tag(match: re.Match[bytes]) -> bytes:
        wanted = _ATTRIBUTES.get(match[1].lower())
        if not wanted:
            return match[0]

        def value(found: re.Match[bytes]) -> bytes:
            if found[2].lower() not in wanted:
                return found[0]
            mark = found[4][:1] if found[4][:1] in (b'"', b"'") else b""
            inner = found[4].strip(mark) if mark else found[4]
            text = inner.decode("utf-8", "surrogateescape")
            return b"".join((*found.groups()[:3], mark, through(text).encode("utf-8", "surrogateescape"), mark))

        return b"<" + match[1] + _VALUE.sub(value, match[2]) + b">"

    return _TAG.sub(tag, page)
