"""Routes of rules and deliveries; they stand before those of the scheduler, which end with a catch-all."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from notifications.api.views import DeliveryViewSet, RuleViewSet

import_module("notifications.api.metrics")  # it registers its source


class IdConverter(StringConverter):
    """A positive number of at most 18 digits."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:  # type: ignore[override]  # the stubs say str
        """Return the number."""
        return int(value)


register_converter(IdConverter, "notification_id")

one_rule: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}

urlpatterns = [
    path(
        "notification-rules",
        RuleViewSet.as_view({"get": "list", "post": "create"}),
        name="notification-rules",
    ),
    path(
        "notification-rules/rehearse",
        RuleViewSet.as_view({"post": "rehearse_draft"}),
        name="notification-rules-rehearse",
    ),
    path(
        "notification-rules/<notification_id:rule_id>",
        RuleViewSet.as_view(one_rule),
        name="notification-rule",
    ),
    path(
        "notification-rules/<notification_id:rule_id>/test",
        RuleViewSet.as_view({"post": "test"}),
        name="notification-rule-test",
    ),
    path(
        "notification-rules/<notification_id:rule_id>/rehearse",
        RuleViewSet.as_view({"post": "rehearse"}),
        name="notification-rule-rehearse",
    ),
    path("deliveries", DeliveryViewSet.as_view({"get": "list"}), name="deliveries"),
    path(
        "deliveries/<notification_id:delivery_id>",
        DeliveryViewSet.as_view({"get": "retrieve"}),
        name="delivery",
    ),
    path(
        "deliveries/<notification_id:delivery_id>/resend",
        DeliveryViewSet.as_view({"post": "resend"}),
        name="delivery-resend",
    ),
]
