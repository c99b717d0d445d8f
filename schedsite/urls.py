"""Routes of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated

from schedsite import csp
from scheduler.api.views import healthz

# Swagger UI styles its parts by attributes.
api_docs = csp.allow({"style-src": "'self' 'unsafe-inline'"})(
    SpectacularSwaggerSplitView.as_view(permission_classes=[IsAuthenticated])
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("healthz", healthz, name="healthz"),
    path("api/scheduler/", include("notifications.api.urls")),
    path("api/scheduler/", include("scheduler.api.urls")),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[IsAuthenticated]), name="schema"),
    path("api/docs", api_docs, name="docs"),
]
