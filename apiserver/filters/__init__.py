"""The filters a request passes on its way to a handler: pure ASGI, one per file; `app` has them in order."""
