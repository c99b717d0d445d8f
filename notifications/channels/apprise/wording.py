"""Templates for the reasons of the Apprise channel; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from notifications.channels.apprise.reasons import Code
from scheduler.engine.reasons import Plural

TEMPLATES: Mapping[Code, str | Plural] = {
    Code.SENT_TO: gettext_noop("sent to %(services)s"),
    Code.SENT_IN_PART: gettext_noop("%(why)s (sent to %(services)s)"),
    Code.SERVICE_FAILED: gettext_noop("%(service)s: %(why)s"),
    Code.SERVICE_REFUSED: gettext_noop("the service did not accept it"),
    Code.SERVICE_SAYS_NO: gettext_noop("the response reports a failure: %(answer)s"),
    Code.SERVICES_GONE: gettext_noop("the services of this message are no longer in the rule"),
    Code.SENDING_PROCESS_ENDED: gettext_noop("the sending process ended early"),
    Code.SERVICE_NOT_AVAILABLE: gettext_noop("%(url)s is not available: %(why)s"),
    Code.SERVICE_UNKNOWN: gettext_noop("Apprise has no such service"),
    Code.SERVICE_NOT_MADE: gettext_noop("%(url)s is not an Apprise URL: %(error)s"),
    Code.SERVICE_FORM_UNKNOWN: gettext_noop("%(url)s is not an Apprise URL: unknown format"),
    Code.SERVICE_FORM: gettext_noop("%(url)s is not an Apprise URL; for %(name)s use %(form)s"),
    Code.SERVICE_IS_WEBHOOK: gettext_noop(
        "%(url)s is not an Apprise URL; use a webhook channel for your own web address"
    ),
    Code.DID_YOU_MEAN: gettext_noop('did you mean "%(name)s"?'),
    Code.SHOWS_ON_SCREEN: gettext_noop("it shows messages on the screen of the server"),
    Code.WRITES_TO_LOG: gettext_noop("it writes to the log of the server"),
    Code.SENDS_DATAGRAMS: gettext_noop("it sends datagrams without knowing whether they arrive"),
    Code.READS_KEY_FILES: gettext_noop("it reads key files of the server"),
    Code.PROGRAM_REFUSED: gettext_noop("programs are not started"),
    Code.SOCKET_REFUSED: gettext_noop("only hosts of the network are reached"),
    Code.HOST_NOT_RESOLVED: gettext_noop("%(host)s was not resolved before connecting"),
    Code.FILE_NOT_WRITTEN: gettext_noop("files are not written"),
    Code.FILE_NOT_READ: gettext_noop("files of the server are not read"),
    Code.PUBLIC_SERVICE: gettext_noop(
        "a public host or one in SCHEDULER_WEBHOOK_ALLOW, of a service that starts no local program"
    ),
}
