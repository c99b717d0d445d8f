"""The view of `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from schedsite.forwarded import is_local, was_forwarded
from scheduler.api.base import now
from scheduler.api.metrics import collector  # noqa: F401 - registers its sources
from scheduler.api.metrics.catalogue import SOURCES
from scheduler.api.permissions import VIEW_EXECUTION, VIEW_TASK
from scheduler.api.problems import NotFoundError

OFF, LOCAL = "off", "local"


class Sources(Collector):
    """Reads all sources at each scrape."""

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        instant = now()
        for read in SOURCES:
            yield from read(instant)


REGISTRY = CollectorRegistry(auto_describe=False)
REGISTRY.register(Sources())
ProcessCollector(registry=REGISTRY)


class MayReadMetrics(BasePermission):
    """Accounts that may read tasks and executions; anybody on this host, unless the setting demands a token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may read the metrics."""
        if settings.SCHEDULER_METRICS == LOCAL and is_local(request._request):
            return True
        return request.user.is_authenticated and request.user.has_perms([VIEW_TASK, VIEW_EXECUTION])


class AnyFormat(BaseContentNegotiation):
    """Lets the client of Prometheus choose the format; errors are JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        first = next(iter(renderers))
        return first, str(first.media_type)


class MetricsView(APIView):
    """All metrics, as text for Prometheus or OpenMetrics."""

    permission_classes = (MayReadMetrics,)
    content_negotiation_class = AnyFormat
    renderer_classes = (JSONRenderer,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Hide the page if it is switched off, and check who asks."""
        if settings.SCHEDULER_METRICS == OFF:
            raise NotFoundError("SCHEDULER_METRICS is off.")
        super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> HttpResponse:
        """Return the metrics."""
        encode, content_type = choose_encoder(request.META.get("HTTP_ACCEPT", ""))
        response = HttpResponse(encode(REGISTRY), content_type=content_type)
        patch_vary_headers(response, ["Accept"])
        return response


_view = MetricsView.as_view()


@csrf_exempt  # nothing is written
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a request; one that a proxy received without TLS is redirected, as on other pages.

    Requests from this host and from its network need no TLS: Prometheus asks processes, not sites.
    """
    if settings.SECURE_SSL_REDIRECT and not request.is_secure() and was_forwarded(request):
        return HttpResponsePermanentRedirect(f"https://{request.get_host()}{request.get_full_path()}")
    answer: HttpResponse = _view(request)
    return answer
