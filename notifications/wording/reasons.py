"""Templates for the reasons of this app; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from notifications.engine.reasons import Code
from scheduler.engine.reasons import Plural, add_templates

TEMPLATES: Mapping[Code, str | Plural] = {
    # delivery states
    Code.COOLDOWN_UNTIL: gettext_noop(
        "suppressed until %(until)s by the cooldown of %(seconds)s s after the message about %(at)s"
    ),
    Code.COOLDOWN: gettext_noop("cooldown of %(seconds)s s"),
    Code.HOURLY_LIMIT: gettext_noop("more than %(limit)s messages in the hour"),
    Code.HOURLY_LIMIT_OF_CHANNEL: gettext_noop(
        "more than %(limit)s messages to this channel in the hour from %(at)s (SCHEDULER_NOTIFY_HOURLY_LIMIT); "
        "a digest follows"
    ),
    Code.CHANNEL_REMOVED: gettext_noop("its channel was removed"),
    Code.NO_ANSWER: gettext_noop("no answer within %(seconds)s s"),
    Code.NOT_FINISHED: gettext_noop("not finished within %(seconds)s s"),
    Code.WORKER_STOPPED: gettext_noop("the worker stopped before the other side answered"),
    Code.NOT_COMPOSED: gettext_noop("the message cannot be composed: %(error)s"),
    Code.CHANNEL_FAILED: gettext_noop("the channel failed unexpectedly (%(error)s); the log says more"),
    Code.SEVERAL: gettext_noop("%(parts)s"),
    # connections and HTTP
    Code.CONNECTION_FAILED: gettext_noop("%(url)s: %(why)s"),
    Code.CONNECTION_REFUSED: gettext_noop("[Errno 111] Connection refused"),
    Code.CONNECTION_TIMED_OUT: gettext_noop("timed out"),
    Code.NO_VALID_ANSWER: gettext_noop("no valid answer (%(error)s)"),
    Code.NAME_NOT_RESOLVED: gettext_noop("the name %(host)s was not resolved within %(seconds)s s"),
    Code.NAME_WITHOUT_ADDRESS: gettext_noop("the name %(host)s has no address"),
    Code.NO_ADDRESS_LEFT: gettext_noop("there is no address to connect to"),
    Code.HTTP_STATUS: gettext_noop("HTTP %(status_code)s"),
    Code.HTTP_ANSWER: gettext_noop("HTTP %(status_code)s: %(answer)s"),
    Code.HTTP_REDIRECT: gettext_noop(
        "HTTP %(status_code)s: redirects are not followed; the rule must have the final URL"
    ),
    Code.ANSWER_SAYS_NO: gettext_noop("HTTP %(status_code)s, but the answer says no: %(answer)s"),
    Code.ANSWER_NOT_JSON: gettext_noop(
        "HTTP %(status_code)s, but the answer is no JSON, in which %(path)s must be %(wanted)s"
    ),
    Code.ANSWER_WITHOUT_FIELD: gettext_noop(
        "HTTP %(status_code)s, but the answer has no %(path)s, which must be %(wanted)s"
    ),
    Code.ANSWER_DIFFERS: gettext_noop("HTTP %(status_code)s, but %(path)s of the answer is not %(wanted)s"),
    Code.ANSWER_DIFFERS_AS: gettext_noop(
        "HTTP %(status_code)s, but %(path)s of the answer is not %(wanted)s: %(answer)s"
    ),
    # mail
    Code.MAIL_ACCEPTED: gettext_noop("accepted for %(accepted)s of %(recipients)s recipients"),
    Code.MAIL_REFUSED: gettext_noop("all refused"),
    Code.NO_VALID_RECIPIENT: gettext_noop("no valid recipient"),
    Code.RECIPIENTS_REFUSED: gettext_noop("refused: %(addresses)s"),
    Code.RECIPIENTS_MALFORMED: gettext_noop("malformed: %(addresses)s"),
    Code.MAIL_SERVER_SAID: gettext_noop("the mail server said %(answer)s"),
    Code.MAIL_SERVER_CANNOT: gettext_noop("the mail server cannot do this: %(error)s"),
    Code.MAIL_SERVER_FAILED: gettext_noop("mail server %(host)s: %(why)s"),
    Code.MAIL_SERVER_SLOW: gettext_noop("the mail server did not finish within %(seconds)s s"),
    Code.MAIL_NOT_WRITTEN: gettext_noop("the mail cannot be written: %(error)s"),
    Code.NO_MAIL_REPLY: gettext_noop("its reply is not that of a mail server"),
    Code.LOGIN_NOT_ASCII: gettext_noop("%(name)s must have ASCII characters only to log in; it has others"),
    Code.SEE_MAIL_HOST: gettext_noop("see EMAIL_HOST and EMAIL_PORT"),
    Code.SET_MAIL_SSL: gettext_noop(
        "at a port that begins with encryption (465) set EMAIL_USE_SSL=1, EMAIL_USE_TLS=0; see EMAIL_PORT"
    ),
    Code.SET_MAIL_TLS: gettext_noop(
        "where encryption begins after connecting (587) set EMAIL_USE_TLS=1, EMAIL_USE_SSL=0; see EMAIL_PORT"
    ),
    Code.NO_MAIL_STARTTLS: gettext_noop(
        "set EMAIL_USE_TLS=0, or EMAIL_PORT to one with STARTTLS, mostly 587"
    ),
    Code.SEE_MAIL_CERTIFICATE: gettext_noop(
        "EMAIL_HOST must be a name in its certificate, and SSL_CERT_FILE must name who signed it"
    ),
    Code.NO_MAIL_LOGIN: gettext_noop(
        "leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty, or encrypt first with EMAIL_USE_TLS=1"
    ),
    Code.NO_MAIL_LOGIN_ENCRYPTED: gettext_noop("leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty"),
    Code.SEE_MAIL_LOGIN: gettext_noop("see EMAIL_HOST_USER and EMAIL_HOST_PASSWORD"),
    Code.ENCRYPT_MAIL_FIRST: gettext_noop("set EMAIL_USE_TLS=1"),
    Code.SEE_MAIL_SENDER: gettext_noop("see DEFAULT_FROM_EMAIL"),
    # Apprise services
    Code.SENT_TO: gettext_noop("sent to %(services)s"),
    Code.SENT_IN_PART: gettext_noop("%(why)s (sent to %(services)s)"),
    Code.SERVICE_FAILED: gettext_noop("%(service)s: %(why)s"),
    Code.SERVICE_REFUSED: gettext_noop("the service did not accept it"),
    Code.SERVICE_SAYS_NO: gettext_noop("the answer says no: %(answer)s"),
    Code.SERVICES_GONE: gettext_noop("the services of this message are no longer in the rule"),
    Code.SENDING_PROCESS_ENDED: gettext_noop("the process that sends ended before it was done"),
    Code.SERVICE_NOT_AVAILABLE: gettext_noop("%(url)s is not available: %(why)s"),
    Code.SERVICE_UNKNOWN: gettext_noop("Apprise has no such service"),
    Code.SERVICE_NOT_MADE: gettext_noop("%(url)s makes no service of Apprise: %(error)s"),
    Code.SERVICE_FORM_UNKNOWN: gettext_noop(
        "%(url)s makes no service of Apprise: Apprise does not know the form of this address"
    ),
    Code.SERVICE_FORM: gettext_noop("%(url)s makes no service of Apprise; for %(name)s use %(form)s"),
    Code.SERVICE_IS_WEBHOOK: gettext_noop(
        "%(url)s makes no service of Apprise; a web address of your own belongs to a webhook channel"
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
    # targets
    Code.TARGET_FORBIDDEN: gettext_noop(
        "%(host)s is not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit it"
    ),
    Code.TARGET_LEADS_ASTRAY: gettext_noop(
        "%(host)s leads to %(address)s, which is not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit "
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
    Code.URL_WITHOUT_HTTP: gettext_noop("the URL must begin with http:// or https:// and name a host"),
    Code.URL_HAS_SPACES: gettext_noop("the URL must not contain spaces, control characters or backslashes"),
    Code.PORT_FORBIDDEN: gettext_noop("port %(port)s is that of another protocol than HTTP"),
    Code.HEADER_NAME_NOT_VALID: gettext_noop(
        "the header name %(name)s must have letters, digits, - and _ only"
    ),
    Code.HEADER_NOT_VALID: gettext_noop(
        "the header %(name)s must have one line of printable ASCII characters"
    ),
    Code.HEADER_RESERVED: gettext_noop("the header %(name)s is set by Schedsite and cannot be changed"),
    Code.PUBLIC_HOST: gettext_noop("a public host, or one that SCHEDULER_WEBHOOK_ALLOW names"),
    Code.PUBLIC_SERVICE: gettext_noop(
        "a public host, or one that SCHEDULER_WEBHOOK_ALLOW names, of a service that is no program here"
    ),
    Code.FREE_HEADERS: gettext_noop("printable headers that are not ours"),
    # rules
    Code.RULE_DELETED: gettext_noop("Rule %(rule)s was deleted."),
    Code.TASK_OF_RULE_DELETED: gettext_noop("The task was deleted."),
    Code.DELIVERY_WITHOUT_CHANNEL: gettext_noop("The channel of delivery %(delivery)s no longer exists."),
    Code.DELIVERY_BEING_SENT: gettext_noop("Delivery %(delivery)s is being sent."),
    Code.OUTCOME_NEUTRAL: gettext_noop("%(status)s neither counts nor breaks a streak"),
    Code.OUTCOME_ENDS_STREAK: gettext_noop("%(status)s is none of the triggers; it ends a streak"),
    Code.OUTCOMES_MATCH: Plural(
        gettext_noop("1 matching outcome; threshold %(threshold)s, repeat %(repeat)s"),
        gettext_noop("%(number)s consecutive matching outcomes; threshold %(threshold)s, repeat %(repeat)s"),
    ),
    Code.RECOVERED: gettext_noop("the first success after an alert"),
    Code.DEADLINE_MISSED: gettext_noop("not succeeded by its deadline"),
    Code.TRIGGERS_NOT_VALID: gettext_noop("triggers must be of %(known)s, but %(found)s was found"),
    Code.THRESHOLD_NOT_VALID: gettext_noop(
        "threshold must be a whole number from 1, but %(found)s was found"
    ),
    Code.REPEAT_NOT_VALID: gettext_noop("repeat must be of %(known)s, but %(found)s was found"),
    Code.COOLDOWN_NOT_VALID: gettext_noop("cooldown must be seconds from 0, but %(found)s was found"),
}
add_templates(TEMPLATES)
