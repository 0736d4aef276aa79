"""The FastAPI application: what is not a resource. Health, version, metrics, discovery, OpenAPI, token issuer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from apiserver import openapi_protobuf
from apiserver.discovery import AGGREGATED_GROUP, Discovery, Document
from apiserver.health import Health
from apiserver.openapi import OpenAPI
from apiserver.version import GIT_VERSION, version_info
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.component import metrics

#: the second spelling has no @, which media types may not have
OPENAPI_V2_PROTOBUF = ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", openapi_protobuf.MEDIA_TYPE)


@dataclass(slots=True)
class Pages:
    """What the pages are made from."""

    discovery: Discovery
    health: Health
    openapi: OpenAPI
    #: the documents of the service-account token issuer: OpenID configuration and keys
    issuer: tuple[Json, Json] | None = None
    extra_paths: list[str] = field(default_factory=list)


def create(pages: Pages) -> FastAPI:
    """The application with all its routes."""
    app = FastAPI(title="Kubernetes", version=GIT_VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    _add_health(app, pages.health)
    _add_discovery(app, pages)
    _add_openapi(app, pages.openapi)
    _add_issuer(app, pages)

    @app.get("/version")
    @app.get("/version/")
    async def version() -> Response:
        return _for_people(version_info())

    @app.get("/metrics")
    async def all_metrics() -> Response:
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, problem: HTTPException) -> Response:
        if problem.status_code == 405:
            refusal = errors.MethodNotSupported("the server does not allow this method on the requested resource", {})
            return Response(codec.dumps(refusal.status()), 405, media_type="application/json")
        text = "404 page not found\n" if problem.status_code == 404 else str(problem.detail)
        return Response(text, problem.status_code, media_type="text/plain; charset=utf-8")

    return app


def _add_health(app: FastAPI, health: Health) -> None:
    def add(endpoint: str) -> None:
        @app.head(f"/{endpoint}")
        @app.get(f"/{endpoint}")
        async def all_checks(request: Request) -> Response:
            verbose = "verbose" in request.query_params
            exclude = request.query_params.getlist("exclude")
            status, text = await health.all(endpoint, verbose=verbose, exclude=exclude)
            return _text(status, text)

        @app.get(f"/{endpoint}/{{name:path}}")
        async def one_check(name: str) -> Response:
            return _text(*await health.one(endpoint, name))

    for endpoint in ("healthz", "livez", "readyz"):
        add(endpoint)


def _add_discovery(app: FastAPI, pages: Pages) -> None:
    discovery = pages.discovery

    @app.get("/")
    async def root() -> Response:
        others = ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
        return _for_people({"paths": sorted([*discovery.paths(), *others, *pages.extra_paths])})

    @app.get("/api")
    async def core(request: Request) -> Response:
        return _discovered(request, discovery, discovery.core_versions, core=True)

    @app.get("/apis")
    async def groups(request: Request) -> Response:
        return _discovered(request, discovery, discovery.group_list, core=False)

    @app.get("/apis/{group}")
    async def group(group: str) -> Response:
        return _found(discovery.group(group))

    @app.get("/api/{version}")
    async def core_resources(version: str) -> Response:
        return _found(discovery.resource_list("", version))

    @app.get("/apis/{group}/{version}")
    async def resources(group: str, version: str) -> Response:
        return _found(discovery.resource_list(group, version))


def _discovered(request: Request, discovery: Discovery, legacy: Callable[[], Json], *, core: bool) -> Response:
    version = aggregated_version(request.headers.get("accept", ""))
    if not version:
        return _json(legacy())
    return _unless_known(request, discovery.aggregated(version, core=core), {"cache-control": "public"})


def _unless_known(request: Request, document: Document, extra: dict[str, str] | None = None) -> Response:
    """The document, or 304 where the client has it."""
    headers = {"etag": document.etag, "vary": "Accept"} | (extra or {})
    if request.headers.get("if-none-match") == document.etag:
        return Response(status_code=304, headers=headers)
    return Response(document.body, headers=headers, media_type=document.content_type)


def aggregated_version(accept: str) -> str:
    """The apidiscovery version the client prefers over the legacy document, or "" (it asks in order of preference)."""
    for media in accept.split(","):
        kind, *parameters = (part.strip() for part in media.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        wanted = values.get("as") == "APIGroupDiscoveryList" and values.get("g") == AGGREGATED_GROUP
        if wanted and kind == "application/json" and values.get("v") in ("v2", "v2beta1"):
            return values["v"]
        if not wanted and kind in ("application/json", "*/*", "application/*"):
            return ""
    return ""


def _add_openapi(app: FastAPI, openapi: OpenAPI) -> None:
    @app.get("/openapi/v3")
    async def root() -> Response:
        return _json(openapi.root())

    @app.get("/openapi/v3/{path:path}")
    async def document(path: str, request: Request) -> Response:
        found = openapi.document(path)
        if found is None:
            raise HTTPException(404)
        headers = {}
        wanted = request.query_params.get("hash")
        if wanted and wanted != found.digest:
            return Response(status_code=301, headers={"location": f"/openapi/v3/{path}?hash={found.digest}"})
        if wanted:
            headers = {"cache-control": "public, immutable", "expires": "Tue, 19 Jan 2038 03:14:07 GMT"}
        return _unless_known(request, Document(found.body, "application/json", f'"{found.digest}"'), headers)

    @app.get("/openapi/v2")
    async def version_2(request: Request) -> Response:
        for media in request.headers.get("accept", "*/*").split(","):
            kind = media.split(";")[0].strip()
            if kind in OPENAPI_V2_PROTOBUF:
                etag = f'"{openapi.digest}-PB"'
                return _unless_known(request, Document(openapi.version_2_protobuf, openapi_protobuf.MEDIA_TYPE, etag))
            if kind in ("application/json", "application/*", "*/*"):
                return _unless_known(request, Document(openapi.version_2, "application/json", f'"{openapi.digest}"'))
        raise HTTPException(406, "406 not acceptable")


def _add_issuer(app: FastAPI, pages: Pages) -> None:
    if pages.issuer is None:
        return
    configuration, keys = pages.issuer

    @app.get("/.well-known/openid-configuration")
    async def openid_configuration() -> Response:
        return Response(codec.dumps(configuration), media_type="application/json")

    @app.get("/openid/v1/jwks")
    async def jwks() -> Response:
        return Response(codec.dumps(keys), media_type="application/jwk-set+json")


def _found(document: Json | None) -> Response:
    if document is None:
        raise HTTPException(404)
    return _json(document)


def _json(document: Json) -> Response:
    return Response(codec.dumps(document), media_type="application/json")


def _for_people(document: Json) -> Response:
    """What upstream always indents."""
    return Response(codec.indented(codec.dumps(document)), media_type="application/json")


def _text(status: int, text: str) -> Response:
    headers = {"x-content-type-options": "nosniff", "cache-control": "no-cache, private"}
    return Response(text, status, headers, "text/plain; charset=utf-8")
