"""Templates for the reasons of this app; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from notifications.engine.reasons import Code
from scheduler.engine.reasons import Plural, add_templates

TEMPLATES: Mapping[Code, str | Plural] = {
    # delivery states
    Code.COOLDOWN_UNTIL: gettext_noop(
        "suppressed until %(until)s by the cooldown of %(seconds)s after the message about %(at)s"
    ),
    Code.COOLDOWN: gettext_noop("cooldown of %(seconds)s"),
    Code.HOURLY_LIMIT: gettext_noop("more than %(limit)s messages in the hour"),
    Code.HOURLY_LIMIT_OF_CHANNEL: gettext_noop(
        "more than %(limit)s messages to this channel in the hour from %(at)s (SCHEDULER_NOTIFY_HOURLY_LIMIT); "
        "a digest follows"
    ),
    Code.CHANNEL_REMOVED: gettext_noop("its channel was removed"),
    Code.NO_ANSWER: gettext_noop("no response within %(seconds)s"),
    Code.NOT_FINISHED: gettext_noop("not finished within %(seconds)s"),
    Code.WORKER_STOPPED: gettext_noop("the worker stopped before a response arrived"),
    Code.NOT_COMPOSED: gettext_noop("the message cannot be composed: %(error)s"),
    Code.CHANNEL_FAILED: gettext_noop("the channel failed unexpectedly (%(error)s); see the server log"),
    Code.SEVERAL: gettext_noop("%(parts)s"),
    # connections and HTTP
    Code.CONNECTION_REFUSED: gettext_noop("[Errno 111] Connection refused"),
    Code.CONNECTION_TIMED_OUT: gettext_noop("timed out"),
    Code.NAME_NOT_RESOLVED: gettext_noop("the name %(host)s was not resolved within %(seconds)s"),
    Code.NAME_WITHOUT_ADDRESS: gettext_noop("the name %(host)s has no address"),
    Code.NO_ADDRESS_LEFT: gettext_noop("no address to connect to"),
    Code.HTTP_STATUS: gettext_noop("HTTP %(status_code)s"),
    Code.HTTP_ANSWER: gettext_noop("HTTP %(status_code)s: %(answer)s"),
    Code.HTTP_REDIRECT: gettext_noop(
        "HTTP %(status_code)s: redirects are not followed; the rule must have the final URL"
    ),
    Code.ANSWER_SAYS_NO: gettext_noop("HTTP %(status_code)s, but the response reports a failure: %(answer)s"),
    Code.ANSWER_NOT_JSON: gettext_noop(
        "HTTP %(status_code)s, but the response is not JSON; its %(path)s must be %(wanted)s"
    ),
    Code.ANSWER_WITHOUT_FIELD: gettext_noop(
        "HTTP %(status_code)s, but the response has no %(path)s; it must be %(wanted)s"
    ),
    Code.ANSWER_DIFFERS: gettext_noop("HTTP %(status_code)s, but %(path)s of the response is not %(wanted)s"),
    Code.ANSWER_DIFFERS_AS: gettext_noop(
        "HTTP %(status_code)s, but %(path)s of the response is not %(wanted)s: %(answer)s"
    ),
    # targets
    Code.TARGET_FORBIDDEN: gettext_noop(
        "%(host)s is not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit it"
    ),
    Code.TARGET_LEADS_ASTRAY: gettext_noop(
        "%(host)s resolves to %(address)s, not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit "
        "it"
    ),
    Code.UNSPECIFIED: gettext_noop("unspecified"),
    Code.PRIVATE: gettext_noop("private"),
    Code.SHARED_BY_CARRIER: gettext_noop("shared by a carrier"),
    Code.LOOPBACK: gettext_noop("loopback"),
    Code.LINK_LOCAL: gettext_noop("link-local"),
    Code.RESERVED: gettext_noop("reserved"),
    Code.FOR_DOCUMENTATION: gettext_noop("for documentation"),
    Code.FOR_BENCHMARKS: gettext_noop("for benchmarks"),
    Code.MULTICAST: gettext_noop("multicast"),
    Code.METADATA_SERVICE: gettext_noop("a metadata service"),
    Code.TUNNEL_OR_RESERVED: gettext_noop("a tunnel or reserved"),
    Code.TUNNEL_6TO4: gettext_noop("a 6to4 tunnel"),
    Code.TUNNEL: gettext_noop("a tunnel"),
    Code.NOT_PUBLIC: gettext_noop("not public"),
    Code.NO_ADDRESS: gettext_noop("no address"),
    Code.EMPTY_HOST: gettext_noop("empty"),
    Code.THIS_MACHINE: gettext_noop("this machine or its metadata service"),
    Code.URL_NOT_VALID: gettext_noop("the URL is not valid: %(error)s"),
    # rules
    Code.RULE_DELETED: gettext_noop("Rule %(rule)s was deleted."),
    Code.TASK_OF_RULE_DELETED: gettext_noop("The task was deleted."),
    Code.DELIVERY_WITHOUT_CHANNEL: gettext_noop("The channel of delivery %(delivery)s no longer exists."),
    Code.DELIVERY_BEING_SENT: gettext_noop("Delivery %(delivery)s is being sent."),
    Code.OUTCOME_NEUTRAL: gettext_noop("%(status)s neither counts nor breaks a streak"),
    Code.OUTCOME_ENDS_STREAK: gettext_noop("%(status)s is not a trigger; it ends a streak"),
    Code.OUTCOMES_MATCH: Plural(
        gettext_noop("1 matching outcome; threshold %(threshold)s, repeat %(repeat)s"),
        gettext_noop("%(number)s consecutive matching outcomes; threshold %(threshold)s, repeat %(repeat)s"),
    ),
    Code.RECOVERED: gettext_noop("the first success after an alert"),
    Code.DEADLINE_MISSED: gettext_noop("not succeeded by its deadline"),
    Code.TRIGGERS_NOT_VALID: gettext_noop("triggers must be among %(known)s, but %(found)s was found"),
    Code.THRESHOLD_NOT_VALID: gettext_noop(
        "threshold must be a whole number from 1, but %(found)s was found"
    ),
    Code.REPEAT_NOT_VALID: gettext_noop("repeat must be one of %(known)s, but %(found)s was found"),
    Code.COOLDOWN_NOT_VALID: gettext_noop("cooldown must be seconds from 0, but %(found)s was found"),
}
add_templates(TEMPLATES)
