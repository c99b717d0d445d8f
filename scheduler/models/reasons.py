"""The columns of a reason: its English text, its code, and its parameters as JSON.

Rows written before codes were introduced have only the text.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from scheduler.engine.reasons import Code, Params, Reason, stored_reason

REASON_COLUMNS = ("reason", "reason_code", "reason_params")
CANCEL_COLUMNS = ("cancel_reason", "cancel_reason_code", "cancel_reason_params")


def code_field() -> models.CharField[str | None, str | None]:
    """Return the column of a code. It is nullable, so that adding it to a large table rewrites no rows."""
    return models.CharField(max_length=64, null=True, blank=True, editable=False)


def params_field() -> models.JSONField[Any, Any]:
    """Return the column of the parameters; NULL without a code."""
    return models.JSONField(null=True, blank=True, editable=False)


def reason_columns(reason: Reason | None) -> dict[str, Any]:
    """Return the columns of a reason; the text is rendered here, once."""
    return dict(zip(REASON_COLUMNS, _columns(reason), strict=True))


def cancel_columns(reason: Reason | None) -> dict[str, Any]:
    """Return the columns of the reason for a cancel request."""
    return dict(zip(CANCEL_COLUMNS, _columns(reason), strict=True))


def _columns(reason: Reason | None) -> tuple[str, str | None, dict[str, Any] | None]:
    return ("", None, None) if reason is None else (str(reason), reason.code.value, reason.params_json())


def read_reason(text: str, code: str | None, params: Params | None) -> Reason | None:
    """Return the reason from the columns of a row; plain text if the code is missing or unknown."""
    return stored_reason(code, params) or (Reason(Code.OTHER, {"text": text}) if text else None)


class WithReason(models.Model):
    """A row with a reason: the rendered text, the code and the parameters."""

    reason = models.TextField(_("reason"), blank=True, default="")
    reason_code = code_field()
    reason_params = params_field()

    class Meta:
        abstract = True

    @property
    def why(self) -> Reason | None:
        """The reason as a value, or None."""
        return read_reason(self.reason, self.reason_code, self.reason_params)

    @property
    def coded_reason(self) -> Reason | None:
        """The reason as a value if it has a code, else None."""
        return stored_reason(self.reason_code, self.reason_params)

    def set_reason(self, reason: Reason | None) -> None:
        """Set the columns of the reason without saving."""
        for name, value in reason_columns(reason).items():
            setattr(self, name, value)


class Cancellable(models.Model):
    """A row that can be cancelled, with the reason for the request."""

    cancel_reason = models.TextField(blank=True, default="")
    cancel_reason_code = code_field()
    cancel_reason_params = params_field()

    class Meta:
        abstract = True

    @property
    def cancelled_because(self) -> Reason | None:
        """The reason for the cancel request, or None."""
        return read_reason(self.cancel_reason, self.cancel_reason_code, self.cancel_reason_params)
