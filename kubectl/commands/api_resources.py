"""`skiff api-resources`: the kinds the server has, from discovery.

Upstream: kubectl/pkg/cmd/apiresources/apiresources.go.
"""

from collections.abc import Callable
from typing import Final

from kubectl.command import Command
from kubectl.discovery import ApiResource, preferred
from kubectl.flags import Args, listing, switch, text
from kubectl.printers.tabwriter import TabWriter
from kubectl.problems import CliError
from kubectl.session import Session

_HEADER: Final = "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND"


async def run(session: Session, args: Args) -> int | None:
    """Print the table, or names."""
    output = args.text("output")
    if output not in ("", "wide", "name"):
        raise CliError(f"--output {output} is not available")
    found = [one for one in preferred((await session.discovery()).resources) if _wanted(args, one)]
    found.sort(key=_order(args.text("sort-by")))
    if output == "name":
        session.write("".join(f"{one.kind.resource}\n" for one in found))
        return None
    wide = output == "wide"
    lines = [] if args.on("no-headers") else [_HEADER + ("\tVERBS\tCATEGORIES" if wide else "")]
    lines += [_row(one, wide) for one in found]
    session.write(TabWriter(minimum=6, padding=3).layout("".join(f"{line}\n" for line in lines)))
    return None


def _wanted(args: Args, one: ApiResource) -> bool:
    verbs, categories = args.list("verbs"), args.list("categories")
    return (
        bool(one.verbs)
        and (not args.given("api-group") or one.kind.group == args.text("api-group"))
        and (not args.given("namespaced") or one.kind.namespaced == args.on("namespaced"))
        and set(verbs) <= set(one.verbs)
        and set(categories) <= set(one.categories)
    )


def _order(by: str) -> Callable[[ApiResource], tuple[str, str]]:
    orders: dict[str, Callable[[ApiResource], tuple[str, str]]] = {
        "": lambda one: (one.kind.group, one.kind.plural),
        "name": lambda one: (one.kind.plural, one.kind.group),
        "kind": lambda one: (one.kind.kind, one.kind.group),
    }
    if by not in orders:
        raise CliError("--sort-by accepts only name or kind")
    return orders[by]


def _row(one: ApiResource, wide: bool) -> str:
    kind = one.kind
    cells = [kind.plural, ",".join(one.short_names), kind.api_version, str(kind.namespaced).lower(), kind.kind]
    if wide:
        cells += [",".join(sorted(one.verbs)), ",".join(one.categories)]
    return "\t".join(cells)


COMMAND = Command(
    "api-resources [FLAGS]",
    "List the kinds the server has.",
    (
        text("output", "wide or name.", "o"),
        text("api-group", "Only of this group."),
        switch("namespaced", "Only those that live in a namespace; false: only those that do not.", default=True),
        listing("verbs", "Only those that know all these verbs."),
        listing("categories", "Only those in all these categories."),
        text("sort-by", "name or kind."),
        switch("no-headers", "Do not print headers."),
        switch("cached", "Accepted for compatibility."),
    ),
    run,
)
