"""Models of access control: API tokens, sessions, attempt counters, and audit events."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.choices import AuditKind, AuditOutcome


class ApiToken(models.Model):
    """An API token, shown once on creation; only its SHA-256 is stored."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, default="")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        app_label = "scheduler"
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name or gettext("token %(number)s") % {"number": self.pk}


def new_handle() -> str:
    """Return a public identifier for a session that grants no access."""
    return secrets.token_hex(8)


class AccountSession(AbstractBaseSession):
    """A session of the site, with its account and origin. It expires at `expire_date`.

    `handle` identifies it on pages, because its key is secret. It is kept when the key changes; for a moment two rows
    share it.
    """

    handle = models.CharField(max_length=16, db_index=True, default=new_handle)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="account_sessions",
        verbose_name=_("user"),
    )
    address = models.CharField(_("address"), max_length=64, blank=True, default="")
    user_agent = models.CharField(_("browser"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        app_label = "scheduler"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return self.handle

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Return the store that reads and writes the session data."""
        from scheduler.models.session_store import SessionStore

        return SessionStore


class AttemptCount(models.Model):
    """Number of attempts by account, by address, or both; an empty field means any.

    Shared by all processes. `count` is as of `counted_at`; `scheduler.engine.limits` computes its later decrease.
    """

    class Scope(models.TextChoices):
        """The kind of attempts counted."""

        LOGIN = "login", _("Login")
        TOKEN = "token", _("API token")
        TEST = "test", _("Test message")
        RUN = "run", _("Run by API")

    scope = models.CharField(max_length=10, choices=Scope.choices)
    account = models.CharField(max_length=150, blank=True, default="")
    address = models.CharField(max_length=64, blank=True, default="")
    count = models.FloatField(default=0)
    counted_at = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "scheduler"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["scope", "account", "address"], name="attempts_counted_once")
        ]
        indexes = [models.Index(fields=["counted_at"], name="attempts_old")]  # pruning

    def __str__(self) -> str:
        return f"{self.scope} {self.account} {self.address}"


class AuditEvent(models.Model):
    """An audit event on access to the installation. Rows are append-only; only retention deletes them.

    Accounts and objects are stored by name, not by key, because rows outlive them. `count` above 1 means that the row
    aggregates identical refusals, the last of them at `at`.
    """

    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("kind"), max_length=20, choices=AuditKind.choices)
    outcome = models.CharField(_("outcome"), max_length=10, choices=AuditOutcome.choices)
    account = models.CharField(_("account"), max_length=150, blank=True, default="")
    address = models.CharField(_("address"), max_length=64, blank=True, default="")
    user_agent = models.CharField(_("browser"), max_length=200, blank=True, default="")
    object = models.CharField(_("object"), max_length=200, blank=True, default="")
    count = models.PositiveIntegerField(_("times"), default=1)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        app_label = "scheduler"
        verbose_name = _("audit event")
        verbose_name_plural = _("audit")
        default_permissions = ("view",)
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(models.F("at").desc(), models.F("id").desc(), name="audit_recent"),
            models.Index("account", models.F("at").desc(), name="audit_account"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_outcome_display()}"
