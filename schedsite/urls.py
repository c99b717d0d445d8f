"""URLconf of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated

from schedsite.middleware import csp
from scheduler.api.metrics.view import metrics
from scheduler.api.tool_views import healthz
from scheduler.views.login import login
from scheduler.views.passwords import password_change

# Swagger UI uses style attributes.
api_docs = csp.allow({"style-src": "'self' 'unsafe-inline'"})(
    SpectacularSwaggerSplitView.as_view(permission_classes=[IsAuthenticated])
)

admin.autodiscover()

handler400, handler404 = "schedsite.client_errors.bad_request", "schedsite.client_errors.page_not_found"
handler500 = "schedsite.middleware.database_busy.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/password_change/", admin.site.admin_view(password_change, cacheable=True)),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("api/scheduler/", include("notifications.api.urls")),
    path("api/scheduler/", include("scheduler.api.urls")),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[IsAuthenticated]), name="schema"),
    path("api/docs", api_docs, name="docs"),
]
