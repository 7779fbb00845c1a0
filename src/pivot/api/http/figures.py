"""`GET /metrics` on the admin port: behind its token, where it has one."""

from fastapi import FastAPI, Response

from pivot.api.metrics.page import CONTENT_TYPE, Metrics

METRICS_PATH = "/metrics"


def serve_figures(app: FastAPI, metrics: Metrics) -> None:
    """Let an application show the node's figures."""

    @app.get(METRICS_PATH, response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def figures() -> Response:
        """What Prometheus gathers; docs/operations.md lists the figures."""
        return Response(await metrics.page(), headers={"content-type": CONTENT_TYPE})
