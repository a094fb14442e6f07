"""The OpenAPI document and its reader at ``/docs``; every asset comes from this process, none from elsewhere."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.params import FromPath
from litestar.response import File

from plixa.kernel.errors import NotFound

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_START: Final = """SwaggerUIBundle({
  url: "/docs/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""

_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

_OWN_ORIGIN: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Swagger UI sets styles inline; everything else stays at home."""


def create_reference(version: str, tags: list[Tag] | None = None) -> OpenAPIConfig:
    """``openapi_config`` of the app: the page at ``/docs``, the document at ``/docs/openapi.json``."""
    return OpenAPIConfig(
        title="Plixa API",
        version=version,
        description="WhatsApp customer service for small and medium businesses.",
        tags=tags,
        security=[{"bearer": []}],
        components=Components(security_schemes={"bearer": _BEARER}),
        use_handler_docstrings=True,
        render_plugins=[_Page(path="/")],
        openapi_router=Router(
            "/docs",
            route_handlers=[asset, start],
            include_in_schema=False,
            after_request=_only_what_exists,
        ),
    )


_BEARER: Final = SecurityScheme(
    type="http",
    scheme="bearer",
    description="`Authorization: Bearer {id}|{secret}`: the token of a sign-in, or an API token of the workspace.",
)


class _Page(OpenAPIRenderPlugin):
    """Swagger UI 5, which reads OpenAPI 3.1, without a word of script inside the page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page; the document itself is fetched by it."""
        return _PAGE.format(title=openapi_schema["info"]["title"]).encode()


@get("/assets/{name:str}")
async def asset(name: FromPath[str]) -> File:
    """One of the few files the page needs."""
    if name not in _ASSETS:
        raise NotFound
    headers = {"Cache-Control": "public, max-age=86400"}
    return File(_folder() / name, media_type=_ASSETS[name], content_disposition_type="inline", headers=headers)


@get("/start.js", media_type="text/javascript", sync_to_thread=False)
def start() -> str:
    """Opens the document in the page."""
    return _START


def _folder() -> Path:
    """Where the package ``swagger-ui-py`` keeps its files."""
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise NotFound("The reference's files are not installed: pip install swagger-ui-py.")
    return Path(spec.origin).parent / "static"


def _only_what_exists(response: Response[Any]) -> Response[Any]:
    """Litestar's own HTML page for unknown paths gives way to the envelope; every page states its policy."""
    if response.status_code == 404:
        raise NotFound
    response.headers.update(_OWN_ORIGIN)
    return response
