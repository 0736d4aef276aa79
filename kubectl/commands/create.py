"""`skiff create`: objects from files as they are, or simple ones from flags. `apply` is the verb that comes back.

Upstream: kubectl/pkg/cmd/create.
"""

from collections.abc import Awaitable, Callable

from kubectl import generators
from kubectl.apply import last_applied
from kubectl.builder import Target, Wanted, from_files
from kubectl.command import DRY_RUN, FILES, PRINT_FLAGS, SELECTOR, Command, dry_run_of
from kubectl.flags import Args, Flag, listing, number, seconds, switch, text
from kubectl.problems import CliError, Sourced
from kubectl.session import Session
from kubectl.writes import Results, for_each, validation_of
from machinery.api import errors, meta
from machinery.api.codec import Json

Make = Callable[[Args], Json]


async def run(session: Session, args: Args) -> int | None:
    """Create every object of the files."""
    if args.words:
        raise CliError(f"Unexpected args: [{' '.join(args.words)}]\nSee 'skiff create -h' for help and examples")
    wanted = Wanted.of(args)
    if not wanted.files:
        raise CliError("must specify one of -f and -k")
    return await _create_all(session, args, await from_files(session, wanted))


async def _create_all(session: Session, args: Args, found: list[Target]) -> int | None:
    results = Results(session, dry_run_of(args))
    await for_each(found, lambda target: create(session, args, results, target))
    results.finish()
    return None


async def create(session: Session, args: Args, results: Results, target: Target) -> None:
    """POST one object, unless the dry run is ours, and say so."""
    dry_run = dry_run_of(args)
    obj = target.object or {}
    if args.on("save-config"):
        obj = last_applied.with_annotation(obj)
    if dry_run == "client":
        results.say(target, "created", obj)
        return
    params = {"fieldManager": args.text("field-manager"), "fieldValidation": validation_of(args.text("validate"))}
    if dry_run == "server":
        params["dryRun"] = "All"
    try:
        created = await session.call("POST", target.kind.path(target.namespace), obj, params=params)
    except errors.StatusError as problem:
        if target.source:
            raise Sourced(problem, "creating", target.source) from problem
        # upstream's generators say what they could not make, and of which kind
        problem.message = f"failed to create {target.kind.kind.lower()}: {problem.message}"
        raise CliError(problem.message) from problem
    results.say(Target(target.resource, target.namespace, meta.name_of(created)), "created", created)


def _generator(make: Make) -> Callable[[Session, Args], Awaitable[int | None]]:
    async def run_one(session: Session, args: Args) -> int | None:
        obj = make(args)
        resource = (await session.discovery()).of_kind(obj["apiVersion"], obj["kind"])
        if resource is None:
            raise CliError(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
        namespace = session.namespace if resource.kind.namespaced else ""
        if namespace and (session.namespace_is_explicit or dry_run_of(args) != "client"):
            obj["metadata"]["namespace"] = namespace
        return await _create_all(session, args, [Target(resource, namespace, meta.name_of(obj), obj)])

    return run_one


def name_of(args: Args) -> str:
    """The only word."""
    if len(args.words) != 1:
        raise CliError(f"exactly one NAME is required, got {len(args.words)}")
    return args.words[0]


def _deployment(args: Args) -> Json:
    images = args.list("image")
    command = args.words[args.dash :] if args.dash >= 0 else []
    names = args.words[: args.dash] if args.dash >= 0 else args.words
    if len(names) != 1:
        raise CliError(f"exactly one NAME is required, got {len(names)}")
    if not images:
        raise CliError('required flag(s) "image" not set')
    if len(images) > 1 and command:
        raise CliError("cannot specify multiple --image options and command")
    return generators.deployment(names[0], images, args.number("replicas"), args.number("port"), command)


def _config_map(args: Args) -> Json:
    return generators.config_map(name_of(args), _sources(args))


def _secret(args: Args) -> Json:
    return generators.secret(name_of(args), args.text("type"), _sources(args))


def _tls_secret(args: Args) -> Json:
    files = {"tls.crt": args.text("cert"), "tls.key": args.text("key")}
    if not all(files.values()):
        raise CliError("key and cert must be specified")
    sources = generators.sources_of((), [f"{key}={name}" for key, name in files.items()], ())
    return generators.secret(name_of(args), "kubernetes.io/tls", sources)


def _sources(args: Args) -> dict[str, bytes]:
    return generators.sources_of(args.list("from-literal"), args.list("from-file"), args.list("from-env-file"))


def _service(type_: str) -> Make:
    return lambda args: generators.service(name_of(args), type_, args.list("tcp"))


async def token(session: Session, args: Args) -> int | None:
    """A token of a ServiceAccount, printed."""
    spec: Json = {"audiences": args.list("audience")} if args.list("audience") else {}
    if args.seconds("duration"):
        spec["expirationSeconds"] = int(args.seconds("duration"))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    accounts = (await session.discovery()).find("serviceaccounts").kind
    path = accounts.path(session.namespace, name_of(args), "token")
    session.print((await session.call("POST", path, request))["status"]["token"])
    return None


_COMMON = (
    *PRINT_FLAGS,
    DRY_RUN,
    switch("save-config", "Remember the object for `apply`."),
    text("field-manager", "The name that owns the fields.", default="kubectl-create"),
    text(
        "validate", "What the server does with unknown fields: strict, warn, ignore.", default="strict", bare="strict"
    ),
)
_DATA = (
    listing("from-literal", "KEY=VALUE; can be repeated.", commas=False),
    listing("from-file", "A file, KEY=FILE or a folder; can be repeated.", commas=False),
    listing("from-env-file", "A file of KEY=VALUE lines.", commas=False),
)
_TCP = listing("tcp", "PORT or PORT:TARGET; can be repeated.")


def _command(usage: str, help_: str, make: Make, *flags: Flag) -> Command:
    return Command(f"create {usage} [FLAGS]", help_, (*flags, *_COMMON), _generator(make))


_NAMESPACE = _command("namespace NAME", "Create a Namespace.", lambda args: generators.namespace(name_of(args)))
_ACCOUNT = _command(
    "serviceaccount NAME", "Create a ServiceAccount.", lambda args: generators.service_account(name_of(args))
)
_DEPLOYMENT = _command(
    "deployment NAME --image=IMAGE [-- COMMAND]",
    "Create a Deployment.",
    _deployment,
    listing("image", "Image of a container; can be repeated."),
    number("replicas", "How many pods.", 1, "r"),
    number("port", "The port the container listens on.", 0),
)
_CONFIG_MAP = _command("configmap NAME", "Create a ConfigMap.", _config_map, *_DATA)
_SERVICE = Command(
    "create service (clusterip | nodeport) NAME --tcp=PORT[:TARGET]",
    "Create a Service for the pods with the label app=NAME.",
    subcommands={
        "clusterip": _command("service clusterip NAME", "Create a ClusterIP Service.", _service("ClusterIP"), _TCP),
        "nodeport": _command("service nodeport NAME", "Create a NodePort Service.", _service("NodePort"), _TCP),
    },
)
_SECRET = Command(
    "create secret (generic | tls) NAME",
    "Create a Secret.",
    subcommands={
        "generic": _command("secret generic NAME", "Create a Secret.", _secret, *_DATA, text("type", "Its type.")),
        "tls": _command(
            "secret tls NAME",
            "Create a Secret with a certificate.",
            _tls_secret,
            text("cert", "The certificate's file."),
            text("key", "The key's file."),
        ),
    },
)
_TOKEN = Command(
    "create token SERVICEACCOUNT [--duration=D] [--audience=A]",
    "Ask for a token of a ServiceAccount.",
    (seconds("duration", "How long it is to be valid."), listing("audience", "Whom it is for.")),
    token,
)

COMMAND = Command(
    "create (-f FILE | KIND NAME) [FLAGS]",
    "Create objects from files or from flags.",
    (*FILES, SELECTOR, *_COMMON),
    run,
    {
        "namespace": _NAMESPACE,
        "ns": _NAMESPACE,
        "serviceaccount": _ACCOUNT,
        "sa": _ACCOUNT,
        "deployment": _DEPLOYMENT,
        "deploy": _DEPLOYMENT,
        "configmap": _CONFIG_MAP,
        "cm": _CONFIG_MAP,
        "secret": _SECRET,
        "service": _SERVICE,
        "svc": _SERVICE,
        "token": _TOKEN,
    },
)
