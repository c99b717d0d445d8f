"""What engine, validator and workers say, told again in the language of the reader.

They know no language: what they say is stored, compared, and answered by the API and the commands, in English. A page
tells it again: a text that has the form of a phrase is translated with what stands in its places, and any other text,
such as the answer of a mail server or an error of the operating system, stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import get_language, gettext, gettext_noop

from scheduler.choices import Status

#: What may stand in a place of a phrase, by its name; anything, when it is not here.
PLACES = {
    **dict.fromkeys(("number", "low", "high", "late", "grace", "seconds", "bytes"), r"[\d.,e+-]+"),
    "status": "[a-z_]+|without outcome",
    "task": r"[\w-]+",
    "url": r"\w+://\S*",
    "signal": r"SIG\w+|signal \d+",
}
#: Places in which another phrase stands.
INNER = ("what", "why", "allowed", "found", "value")
HINT = re.compile(r'(?s)(?P<said>.*)(?P<hint>; did you mean "(?P<name>[^"]*)"\?)')

#: The one thing that English pages tell otherwise: a status of two words is one word in what was stored.
ENDED = re.compile(r"\b(upstream [\w-]+ ended) (technical|business)_failure\b")

PHRASES = [
    # how executions end
    gettext_noop("the command left no exit code"),
    gettext_noop("killed by %(signal)s"),
    gettext_noop("exit code %(number)s"),
    gettext_noop("exit code 126: the command is not executable"),
    gettext_noop("exit code 127: the command was not found"),
    gettext_noop("exit code %(number)s: a process of the command was killed by %(signal)s"),
    gettext_noop("ran longer than its timeout of %(seconds)s s"),
    gettext_noop("worker lost"),
    gettext_noop("worker lost: its command left neither a process nor an exit code"),
    gettext_noop("cancelled by %(user)s"),
    gettext_noop("run cancelled by %(user)s"),
    gettext_noop("task deleted by %(user)s"),
    gettext_noop("replaced by a newer execution"),
    gettext_noop("could not start: %(why)s"),
    gettext_noop("the environment file %(path)s does not exist"),
    gettext_noop("the environment file %(path)s cannot be read: %(error)s"),
    gettext_noop("the environment file %(path)s is not UTF-8"),
    gettext_noop("the spool cannot be written: %(error)s"),
    gettext_noop("the command or its environment contains a NUL character"),
    gettext_noop(
        "the command or its environment contains a character that cannot be encoded (a lone surrogate)"
    ),
    gettext_noop("the name of an environment variable contains ="),
    gettext_noop("the folder %(path)s does not exist"),
    gettext_noop("the folder %(path)s may not be entered"),
    # why executions did not begin, and what waits
    gettext_noop("no dispatcher was running at that time"),
    gettext_noop(
        "1 slot was found at least %(late)s s late, more than the grace of %(grace)s s: no dispatcher was running or "
        "it was overloaded (task_misfire_policy is %(policy)s)"
    ),
    gettext_noop(
        "%(number)s slots were found at least %(late)s s late, more than the grace of %(grace)s s: no dispatcher was "
        "running or it was overloaded (task_misfire_policy is %(policy)s)"
    ),
    gettext_noop(
        "an execution of the same task, queued in the same pass, is in the way (task_concurrency is skip)"
    ),
    gettext_noop("execution %(number)s is still %(status)s (task_concurrency is skip)"),
    gettext_noop("the task was deleted"),
    gettext_noop("the task is disabled"),
    gettext_noop("upstream %(task)s ended %(status)s"),
    gettext_noop("upstream %(task)s ended %(status)s, execution %(number)s"),
    gettext_noop("no upstream failed: %(tasks)s"),
    gettext_noop("no upstream has failed since the last start: %(tasks)s"),
    gettext_noop("no upstream belongs to this run"),
    gettext_noop("without outcome"),
    gettext_noop("waits for %(task)s: no execution yet"),
    gettext_noop("waits for %(task)s: no success yet"),
    gettext_noop("waits for %(task)s: %(status)s"),
    gettext_noop("waits for %(task)s: %(status)s, execution %(number)s"),
    gettext_noop("waits for %(task)s: last success %(at)s"),
    gettext_noop("waits for %(task)s: last success %(at)s, already used by execution %(number)s"),
    # what was refused
    gettext_noop("%(field)s must be %(what)s, but %(found)s was found"),
    gettext_noop("%(field)s is missing; it must be %(what)s"),
    gettext_noop("the name %(found)s in %(field)s must have %(what)s"),
    gettext_noop("the name %(found)s must be %(what)s"),
    gettext_noop("%(name)s is not a known field"),
    gettext_noop("%(name)s is not a known field; known are %(known)s"),
    gettext_noop("%(name)s must stand once in its object, but a second one was found"),
    gettext_noop("%(field)s must have at most %(number)s levels, but more were found"),
    gettext_noop("%(field)s must not repeat %(found)s, which stands in the list already"),
    gettext_noop("%(field)s must be unique, but %(found)s stands in %(place)s already"),
    gettext_noop("%(field)s must not use the unknown name %(name)s; known are %(known)s"),
    gettext_noop("%(field)s must have each {{ closed by }}, but a single %(found)s was found"),
    gettext_noop("%(field)s is refused: %(why)s"),
    gettext_noop("the dependencies would form a cycle: %(path)s"),
    gettext_noop("there is no task %(name)s to depend on"),
    gettext_noop("%(path)s is there already and is not overwritten"),
    gettext_noop("%(path)s cannot be written: %(error)s"),
    gettext_noop("reading ended after %(number)s problems; there may be more"),
    # schedules
    gettext_noop("the schedule has %(number)s characters; at most %(high)s are allowed"),
    gettext_noop("the schedule has the character %(name)s; allowed are letters, digits, spaces and *,-/#?@"),
    gettext_noop("the schedule %(found)s is no known alias; allowed are %(known)s"),
    gettext_noop(
        "the schedule %(found)s has 1 field; allowed are five (minute, hour, day of month, month, day of week) or six "
        "with seconds first; there is no year field"
    ),
    gettext_noop(
        "the schedule %(found)s has %(number)s fields; allowed are five (minute, hour, day of month, month, "
        "day of week) or six with seconds first; there is no year field"
    ),
    gettext_noop("the %(what)s field of the schedule %(found)s has %(value)s; allowed are %(allowed)s"),
    gettext_noop(
        "the %(what)s field of the schedule %(found)s has the range %(value)s; a range must rise, such as %(allowed)s; "
        "write one value without a range, and two parts as a list"
    ),
    gettext_noop(
        "the schedule %(found)s combines W, # or L<weekday> with the other day field; that one must be * then"
    ),
    gettext_noop("the schedule %(found)s cannot be read: %(error)s"),
    gettext_noop(
        "the schedule %(found)s never fires: no day of the years %(low)s to %(high)s matches; at least one must"
    ),
    gettext_noop(
        "the time zone %(name)s is unknown; allowed are the names of the IANA database, such as Asia/Shanghai or "
        "Europe/Berlin"
    ),
    gettext_noop("second"),
    gettext_noop("minute"),
    gettext_noop("hour"),
    gettext_noop("day of month"),
    gettext_noop("month"),
    gettext_noop("day of week"),
    gettext_noop("%(low)s to %(high)s, *, lists, rising ranges and steps"),
    gettext_noop("%(low)s to %(high)s, *, lists, rising ranges and steps; also the names %(names)s"),
    gettext_noop(
        "%(low)s to %(high)s, *, lists, rising ranges and steps, L (last day), 15W (weekday nearest to the 15th) and ?"
    ),
    gettext_noop(
        "%(low)s to %(high)s, *, lists, rising ranges and steps, 5#3 (third Friday), L5 (last Friday) and ?; also the "
        "names %(names)s"
    ),
    gettext_noop("the step %(found)s"),
    gettext_noop("steps from /%(low)s to /%(high)s"),
    # files
    gettext_noop("the file must be %(what)s, but %(found)s was found"),
    gettext_noop('{"tasks": [...]}, a list of tasks, or one task'),
    gettext_noop("the file must have at most %(bytes)s bytes, but more were found"),
    gettext_noop("the file must have at most %(number)s levels, but more were found"),
    gettext_noop("the files must have at most %(number)s tasks together, but %(found)s were found"),
    gettext_noop("the file must be UTF-8, but UTF-16 or UTF-32 was found; save it as UTF-8"),
    gettext_noop("the file must be UTF-8, but the byte %(found)s at offset %(number)s is not"),
    gettext_noop("the file is empty; at least [] must stand there"),
    gettext_noop("the comma before %(name)s must go; JSON has none after the last value"),
    gettext_noop("text must stand in double quotes; JSON has no single ones"),
    gettext_noop("the comment must go; JSON has none"),
    gettext_noop("true, false and null must be written in small letters"),
    gettext_noop(r"a line break or other control character in text must be written as \n, \t or \u0001"),
    gettext_noop("the text that begins here must end with a double quote"),
    gettext_noop("nothing may follow the end of the JSON"),
    gettext_noop("a comma or the closing bracket must stand here"),
    gettext_noop("a name in double quotes must stand here"),
    gettext_noop("this must be JSON: %(error)s"),
    # older forms of a configuration
    gettext_noop("%(task)s: task_log is kept in the history instead"),
    gettext_noop("%(task)s: task_notify in its older form became 1 rule"),
    gettext_noop("%(task)s: task_notify in its older form became %(number)s rules"),
    gettext_noop("%(task)s: task_notify names no address for %(name)s, so it tells nobody"),
    # what was found
    gettext_noop("nothing"),
    gettext_noop("text of %(number)s characters"),
    gettext_noop("a list of %(number)s items"),
    gettext_noop("an object of %(number)s names"),
    gettext_noop("UTF-16 or UTF-32"),
    # what is allowed
    gettext_noop("text"),
    gettext_noop("text of %(low)s to %(high)s characters"),
    gettext_noop("text of at most %(high)s characters"),
    gettext_noop("a number"),
    gettext_noop("a number from %(low)s to %(high)s"),
    gettext_noop("a number above %(low)s up to %(high)s"),
    gettext_noop("a whole number"),
    gettext_noop("a whole number from %(low)s to %(high)s"),
    gettext_noop("true or false"),
    gettext_noop("a list"),
    gettext_noop("a list of %(low)s to %(high)s items"),
    gettext_noop("a list of at most %(high)s items"),
    gettext_noop("a list of tasks"),
    gettext_noop("a list of at most %(high)s tasks"),
    gettext_noop("an object"),
    gettext_noop("an object of at most %(high)s names"),
    gettext_noop("an object whose names are text"),
    gettext_noop("null"),
    gettext_noop("one of %(names)s"),
    gettext_noop("a JSON value"),
    gettext_noop("at most %(number)s levels"),
    gettext_noop("at most %(number)s tasks"),
    gettext_noop("%(number)s bytes"),
    gettext_noop("text without NUL and without half of a surrogate pair"),
    gettext_noop("a finite number of at most 15 digits"),
    gettext_noop("1 to 64 letters, digits, _ and -"),
    gettext_noop("the id of a task: 1 to 64 letters, digits, _ and -"),
    gettext_noop("the id of an existing task"),
    gettext_noop("the id of another task"),
    gettext_noop("no cycle"),
    gettext_noop("each id once"),
    gettext_noop("each name once"),
    gettext_noop("each once"),
    gettext_noop("one line of %(low)s to %(high)s characters, not only spaces"),
    gettext_noop("one line of at most %(high)s characters"),
    gettext_noop("text of %(low)s to %(high)s characters, not only spaces"),
    gettext_noop("text of %(low)s to %(high)s characters without spaces and commas"),
    gettext_noop("letters, digits and _, not beginning with a digit, at most %(high)s"),
    gettext_noop("letters, digits, _ and -, at most %(high)s"),
    gettext_noop("at most %(high)s small letters, digits, _ and -"),
    gettext_noop("a local time HH:MM, a number of seconds above 0 up to %(high)s, or null"),
    gettext_noop("a local time HH:MM, a number of seconds above 0 up to %(high)s, or empty"),
    gettext_noop("a name of the IANA database"),
    gettext_noop("a cron expression of five or six fields, an alias such as @daily, or empty text"),
    gettext_noop("null unless task_concurrency is %(name)s (it is %(found)s)"),
    gettext_noop("a relative path without .."),
    gettext_noop("one mail address such as ops@example.org"),
    gettext_noop("true, false, or mail addresses as text or a list"),
    gettext_noop("an http or https URL with a host"),
    gettext_noop("an http or https URL of at most %(high)s characters without spaces"),
    gettext_noop("a URL of Apprise such as ntfy://topic"),
]


def add_phrases(texts: list[str]) -> None:
    """Let pages tell more texts; for other apps, while they are loaded. Places are named as in `PHRASES`."""
    PHRASES.extend(texts)
    _patterns.cache_clear()


def retold(text: str) -> str:
    """Return what was said in the language of the reader; as it is, when it is no phrase."""
    language = get_language() or "en"
    return ENDED.sub(r"\1 in \2 failure", text) if language.startswith("en") else _retold(text, language)


@lru_cache(maxsize=4096)
def _retold(text: str, _language: str) -> str:
    hint = HINT.fullmatch(text)
    if hint:
        near = gettext("; did you mean “%(name)s”?") % {"name": hint["name"]}
        return f"{_several(hint['said'])}{near}"
    return _several(text)


def _phrase(text: str) -> str:
    for pattern, phrase in _patterns():
        match = pattern.fullmatch(text)
        if match:
            values = match.groupdict()
            return (
                gettext(phrase) % {name: _value(name, values[name]) for name in values}
                if values
                else gettext(phrase)
            )
    return text


def _value(name: str, value: str) -> str:
    if name == "status":
        return str(Status(value).label) if value in Status.values else gettext(value)
    return _several(value) if name in INNER else value


def _several(text: str) -> str:
    """Return a phrase, or several with “or” between them."""
    told = _phrase(text)
    parts = text.split(" or ")
    if told != text or len(parts) == 1:
        return told
    all_told = [_phrase(part) for part in parts]
    return text if any(map(str.__eq__, all_told, parts)) else gettext(" or ").join(all_told)


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the phrases as patterns, those with more words of their own first."""
    place = re.compile(r"%\((\w+)\)s")
    found = []
    for phrase in PHRASES:
        parts = place.split(phrase)
        pattern = "".join(
            f"(?P<{part}>{PLACES.get(part, '.+?')})" if number % 2 else re.escape(part)
            for number, part in enumerate(parts)
        )
        found.append((sum(map(len, parts[::2])), re.compile(pattern, re.DOTALL), phrase))
    found.sort(key=lambda item: -item[0])
    return [(pattern, phrase) for _size, pattern, phrase in found]
