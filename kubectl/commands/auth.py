"""`skiff auth can-i` and `skiff auth whoami`: what one may do, and who one is to the server.

Upstream: kubectl/pkg/cmd/auth.
"""

from typing import Any, Final

from kubectl.command import ALL_NAMESPACES, Command
from kubectl.flags import Args, switch, text
from kubectl.printers.json_text import to_json
from kubectl.printers.tabwriter import TabWriter
from kubectl.printers.yaml_text import to_yaml
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import kinds
from machinery.api.codec import Json

_USAGE: Final = (
    "you must specify two arguments: verb resource or verb resource/resourceName.\n"
    "See 'skiff auth can-i -h' for help and examples."
)


async def can_i(session: Session, args: Args) -> int | None:
    """yes or no, which is also the exit code."""
    namespace = "" if args.on("all-namespaces") else session.namespace
    if args.on("list"):
        await _list_rules(session, args, namespace)
        return None
    if len(args.words) not in (2, 3):
        raise CliError(_USAGE, bare=True)
    spec = await _attributes(session, args, namespace)
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    status = (await session.call("POST", kinds.SELF_SUBJECT_ACCESS_REVIEWS.path(), review)).get("status") or {}
    allowed = bool(status.get("allowed"))
    if not args.on("quiet"):
        why = [status[field] for field in ("reason", "evaluationError") if status.get(field) and not allowed]
        session.print(" - ".join(["yes" if allowed else "no", *why]))
    return 0 if allowed else 1


async def _attributes(session: Session, args: Args, namespace: str) -> Json:
    verb, what = args.words[0], args.words[1]
    if what.startswith("/"):
        return {"nonResourceAttributes": {"verb": verb, "path": what}}
    type_, _, name = what.partition("/")
    name = args.words[2] if len(args.words) > 2 else name
    attributes: Json = {"verb": verb, "resource": type_, "name": name, "subresource": args.text("subresource")}
    attributes |= {"namespace": namespace}
    if type_ != "*":
        try:
            resource = (await session.discovery()).find(type_)
        except CliError:
            session.warn(f"Warning: the server doesn't have a resource type '{type_}'\n")
        else:
            attributes |= {"resource": resource.kind.plural, "group": resource.kind.group}
            if not resource.kind.namespaced:
                session.warn(
                    f"Warning: resource '{resource.kind.plural}' is not namespace scoped"
                    + (f" in group '{resource.kind.group}'" if resource.kind.group else "")
                    + "\n"
                )
                attributes["namespace"] = ""
    return {"resourceAttributes": {key: value for key, value in attributes.items() if value}}


async def _list_rules(session: Session, args: Args, namespace: str) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = (await session.call("POST", kinds.SELF_SUBJECT_RULES_REVIEWS.path(), review)).get("status") or {}
    rows = [] if args.on("no-headers") else ["Resources\tNon-Resource URLs\tResource Names\tVerbs"]
    for rule in status.get("resourceRules") or ():
        for group in rule.get("apiGroups") or [""]:
            for resource in rule.get("resources") or ():
                name = (
                    f"{resource}.{group}" if group and group != "*" else f"{resource}.*" if group == "*" else resource
                )
                rows.append(f"{name}\t[]\t{_listed(rule.get('resourceNames'))}\t{_listed(rule.get('verbs'))}")
    for rule in status.get("nonResourceRules") or ():
        rows.append(f"\t{_listed(rule.get('nonResourceURLs'))}\t[]\t{_listed(rule.get('verbs'))}")
    session.write(TabWriter(minimum=6, padding=3).layout("".join(f"{row}\n" for row in rows)))


def _listed(values: list[str] | None) -> str:
    return f"[{' '.join(values or ())}]"


async def whoami(session: Session, args: Args) -> int | None:
    """The user the server takes us for."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await session.call("POST", kinds.SELF_SUBJECT_REVIEWS.path(), review)
    if args.text("output") in ("json", "yaml"):
        session.write(to_json(answer) + "\n" if args.text("output") == "json" else to_yaml(answer))
        return None
    user: dict[str, Any] = (answer.get("status") or {}).get("userInfo") or {}
    rows = ["ATTRIBUTE\tVALUE", f"Username\t{user.get('username', '')}"]
    if user.get("uid"):
        rows.append(f"UID\t{user['uid']}")
    if user.get("groups"):
        rows.append(f"Groups\t{_listed(user['groups'])}")
    for key, values in sorted((user.get("extra") or {}).items()):
        rows.append(f"Extra: {key}\t{_listed(values)}")
    session.write(TabWriter(minimum=6, padding=3).layout("".join(f"{row}\n" for row in rows)))
    return None


COMMAND = Command(
    "auth (can-i | whoami)",
    "Ask the server what you may do, and who you are.",
    subcommands={
        "can-i": Command(
            "auth can-i VERB (TYPE | TYPE/NAME | /PATH) [FLAGS]",
            "Ask whether you may do something: yes or no, exit code 0 or 1.",
            (
                ALL_NAMESPACES,
                switch("quiet", "Only the exit code.", "q"),
                switch("list", "Show all you may do in the namespace."),
                switch("no-headers", "Do not print headers."),
                text("subresource", "The subresource: log, exec."),
            ),
            can_i,
        ),
        "whoami": Command(
            "auth whoami", "Show who you are to the server.", (text("output", "json or yaml.", "o"),), whoami
        ),
    },
)
