"""What rules, channels and the sender say, as phrases that pages tell again in the language of the reader."""

from __future__ import annotations

from django.utils.translation import gettext_noop

PHRASES = [
    # deliveries
    gettext_noop("held back until %(until)s by the cooldown of %(seconds)s s after the message about %(at)s"),
    gettext_noop("cooldown of %(seconds)s s"),
    gettext_noop("more than %(number)s messages in the hour"),
    gettext_noop(
        "more than %(number)s messages to this channel in the hour from %(at)s (SCHEDULER_NOTIFY_HOURLY_LIMIT); "
        "a digest follows"
    ),
    gettext_noop("its channel was removed"),
    gettext_noop("no answer within %(seconds)s s"),
    gettext_noop("not finished within %(seconds)s s"),
    gettext_noop("the worker stopped before the other side answered"),
    gettext_noop("the message cannot be composed: %(error)s"),
    gettext_noop("the channel failed unexpectedly (%(error)s); the log says more"),
    gettext_noop("the process that sends ended before it was done"),
    gettext_noop("the services of this message are no longer in the rule"),
    gettext_noop("the service did not accept it"),
    gettext_noop("all refused"),
    gettext_noop("all refused; refused: %(addresses)s"),
    gettext_noop("accepted for %(number)s of %(high)s recipients"),
    gettext_noop("accepted for %(number)s of %(high)s recipients; refused: %(addresses)s"),
    gettext_noop("accepted for %(number)s of %(high)s recipients; malformed: %(addresses)s"),
    gettext_noop("no valid recipient; malformed: %(addresses)s"),
    gettext_noop("sent to %(services)s"),
    gettext_noop("the mail server said %(answer)s"),
    gettext_noop("the mail server cannot do this: %(error)s"),
    gettext_noop("the mail cannot be written: %(error)s"),
    gettext_noop("mail server %(host)s: %(why)s"),
    gettext_noop("%(url)s: %(why)s"),
    gettext_noop("no valid answer (%(error)s)"),
    gettext_noop("HTTP %(number)s: redirects are not followed; the rule must have the final URL"),
    gettext_noop("the name %(host)s was not resolved within %(seconds)s s"),
    gettext_noop("the name %(host)s has no address"),
    gettext_noop("there is no address to connect to"),
    gettext_noop("[Errno 111] Connection refused"),
    gettext_noop("timed out"),
    # targets
    gettext_noop("%(host)s is not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit it"),
    gettext_noop(
        "%(host)s leads to %(address)s, which is not a permitted target (%(what)s); SCHEDULER_WEBHOOK_ALLOW can permit "
        "it"
    ),
    gettext_noop("unspecified"),
    gettext_noop("private"),
    gettext_noop("shared by a carrier"),
    gettext_noop("loopback"),
    gettext_noop("link-local"),
    gettext_noop("reserved"),
    gettext_noop("for documentation"),
    gettext_noop("for benchmarks"),
    gettext_noop("multicast"),
    gettext_noop("a metadata service"),
    gettext_noop("a tunnel or reserved"),
    gettext_noop("a 6to4 tunnel"),
    gettext_noop("a tunnel"),
    gettext_noop("not public"),
    gettext_noop("no address"),
    gettext_noop("empty"),
    gettext_noop("this machine or its metadata service"),
    gettext_noop("the URL is not valid: %(error)s"),
    gettext_noop("the URL must begin with http:// or https:// and name a host"),
    gettext_noop("the URL must not contain spaces, control characters or backslashes"),
    gettext_noop("port %(number)s is that of another protocol than HTTP"),
    gettext_noop("the header name %(name)s must have letters, digits, - and _ only"),
    gettext_noop("the header %(name)s must have one line of printable ASCII characters"),
    gettext_noop("the header %(name)s is set by Schedsite and cannot be changed"),
    gettext_noop("%(url)s is not available: %(why)s"),
    gettext_noop("Apprise has no such service"),
    gettext_noop("it shows messages on the screen of the server"),
    gettext_noop("it writes to the log of the server"),
    gettext_noop("it sends datagrams without knowing whether they arrive"),
    gettext_noop("it reads key files of the server"),
    gettext_noop("a public host, or one that SCHEDULER_WEBHOOK_ALLOW names"),
    gettext_noop(
        "a public host, or one that SCHEDULER_WEBHOOK_ALLOW names, of a service that is no program here"
    ),
    gettext_noop("printable headers that are not ours"),
    # rules
    gettext_noop("Rule %(number)s was deleted."),
    gettext_noop("The task was deleted."),
    gettext_noop("%(number)s consecutive matching outcomes; threshold %(low)s, repeat %(repeat)s"),
    gettext_noop("1 matching outcome; threshold %(low)s, repeat %(repeat)s"),
    gettext_noop("the first success after an alert"),
    gettext_noop("not succeeded by its deadline"),
    gettext_noop("triggers must be of %(known)s, but %(found)s was found"),
    gettext_noop("threshold must be a whole number from 1, but %(found)s was found"),
    gettext_noop("repeat must be of %(known)s, but %(found)s was found"),
    gettext_noop("cooldown must be seconds from 0, but %(found)s was found"),
]
