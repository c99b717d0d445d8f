"""The words of why a configuration is refused; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Plural, add_templates

TEMPLATES: Mapping[Code, str | Plural] = {
    # what was refused
    Code.NOT_ALLOWED: gettext_noop("%(field)s must be %(what)s, but %(found)s was found"),
    Code.MISSING: gettext_noop("%(field)s is missing; it must be %(what)s"),
    Code.NAME_NOT_ALLOWED: gettext_noop("the name %(found)s in %(field)s must have %(what)s"),
    Code.NAME_NOT_FIT: gettext_noop("the name %(found)s must be %(what)s"),
    Code.UNKNOWN_FIELD: gettext_noop('unknown field "%(name)s"'),
    Code.UNKNOWN_FIELD_AMONG: gettext_noop('unknown field "%(name)s"; allowed: %(known)s'),
    Code.SUGGESTION: gettext_noop('%(what)s; did you mean "%(name)s"?'),
    Code.REPEATED_NAME: gettext_noop('"%(name)s" must appear once in its object, but was found twice'),
    Code.TOO_DEEP: gettext_noop("%(field)s must have at most %(number)s levels, but more were found"),
    Code.REPEATED: gettext_noop("%(field)s must not repeat %(found)s, which is in the list already"),
    Code.NOT_UNIQUE: gettext_noop("%(field)s must be unique, but %(found)s is in %(place)s already"),
    Code.UNKNOWN_PLACEHOLDER: gettext_noop(
        '%(field)s has the unknown placeholder "%(name)s"; allowed: %(known)s'
    ),
    Code.BROKEN_PLACEHOLDER: gettext_noop(
        "%(field)s must have a placeholder name and }} after each {{, but %(found)s was found; allowed: %(known)s"
    ),
    Code.REFUSED_BY_CHANNEL: gettext_noop("%(field)s is refused: %(why)s"),
    Code.MASK_NOT_STORED: gettext_noop("%(field)s is a mask, but no secret is stored here; enter the secret"),
    Code.MASK_OF_ANOTHER: gettext_noop(
        "%(field)s is the mask of a secret stored for another target; enter the secret again"
    ),
    Code.MASK_OF_SEVERAL: gettext_noop(
        "%(field)s is the mask of several stored secrets; enter the secret again"
    ),
    Code.MASK_WITHIN: gettext_noop("%(field)s contains the mask of a secret; a mask must be the whole value"),
    Code.SECRET_TOO_SHORT: gettext_noop("%(field)s is too short to be masked in logs; it needs %(what)s"),
    Code.CYCLE: gettext_noop("the dependencies would form a cycle: %(path)s"),
    Code.NO_UPSTREAM: gettext_noop("upstream %(name)s does not exist"),
    Code.ID_TAKEN: gettext_noop('the task id "%(name)s" is taken'),
    Code.UPSTREAM_PRUNED: gettext_noop('the task "%(name)s" would be removed by --prune'),
    Code.ID_OF_DELETED: gettext_noop('the task id "%(name)s" belongs to the history of a deleted task'),
    Code.TOO_MANY_PROBLEMS: gettext_noop("stopped after %(count)s errors; there may be more"),
    Code.TOO_MANY_TASKS: gettext_noop(
        "the files must have at most %(count)s tasks together, but %(found)s were found"
    ),
    # files
    Code.FILE_UNREADABLE: gettext_noop("the file must be readable, but is not: %(error)s"),
    Code.FOLDER_WITHOUT_FILES: gettext_noop("the folder must contain */config.json, but none was found"),
    Code.FILE_LAYOUT: gettext_noop("the file must be %(what)s, but %(found)s was found"),
    Code.FILE_TOO_LONG: gettext_noop("the file must have at most %(bytes)s bytes, but more were found"),
    Code.FILE_TOO_DEEP: gettext_noop("the file must have at most %(number)s levels, but more were found"),
    Code.FILE_TOO_MANY_CONTAINERS: gettext_noop(
        "the file must have at most %(count)s lists and objects, but %(found)s were found"
    ),
    Code.FILE_UTF16: gettext_noop("the file must be UTF-8, but UTF-16 or UTF-32 was found; save it as UTF-8"),
    Code.FILE_BYTE: gettext_noop(
        "the file must be UTF-8, but the byte %(found)s at offset %(offset)s is not"
    ),
    Code.FILE_EMPTY: gettext_noop("the file is empty; it must contain at least []"),
    Code.FILE_COMMA: gettext_noop(
        'remove the comma before "%(name)s"; JSON allows none after the last value'
    ),
    Code.FILE_SINGLE_QUOTES: gettext_noop(
        "text must be in double quotes; single quotes are not allowed in JSON"
    ),
    Code.FILE_COMMENT: gettext_noop("comments are not allowed in JSON"),
    Code.FILE_CAPITAL_WORD: gettext_noop("true, false and null must be lowercase"),
    Code.FILE_CONTROL_CHARACTER: gettext_noop(
        r"a line break or other control character in text must be written as \n, \t or \u0001"
    ),
    Code.FILE_OPEN_TEXT: gettext_noop("the text starting here needs a closing double quote"),
    Code.FILE_MORE_THAN_JSON: gettext_noop("nothing may follow the end of the JSON"),
    Code.FILE_COMMA_MISSING: gettext_noop("a comma or the closing bracket is expected here"),
    Code.FILE_NAME_MISSING: gettext_noop("a name in double quotes is expected here"),
    Code.FILE_NOT_JSON: gettext_noop("this must be JSON: %(error)s"),
    Code.SCRIPT_EXISTS: gettext_noop("%(path)s already exists and is not overwritten"),
    Code.SCRIPT_NOT_WRITABLE: gettext_noop("%(path)s cannot be written: %(error)s"),
    # older forms that were understood
    Code.OLDER_LOG: gettext_noop("%(task)s: task_log is kept in the history instead"),
    Code.OLDER_NOTIFY: Plural(
        gettext_noop("%(task)s: task_notify in its older form became 1 rule"),
        gettext_noop("%(task)s: task_notify in its older form became %(number)s rules"),
    ),
    Code.OLDER_NOTIFY_WITHOUT_ADDRESS: gettext_noop(
        "%(task)s: task_notify has no address for %(name)s, so nobody is notified"
    ),
    Code.NOTE_ON_TASK: gettext_noop("%(task)s: %(why)s"),
    Code.FOLDER_STAYS: gettext_noop("%(task)s: its folder is kept"),
    # what was found
    Code.NOTHING: gettext_noop("nothing"),
    Code.CHARACTERS_FOUND: gettext_noop("text of %(count)s characters"),
    Code.CHARACTERS_OF_SECRET: gettext_noop("%(number)s characters"),
    Code.BYTES_FOUND: gettext_noop("text of %(bytes)s bytes"),
    Code.BYTES_OF_FILE: gettext_noop("%(bytes)s bytes"),
    Code.ITEMS_FOUND: gettext_noop("a list of %(count)s items"),
    Code.NAMES_FOUND: gettext_noop("an object of %(count)s names"),
    Code.UTF16_FOUND: gettext_noop("UTF-16 or UTF-32"),
    # what is allowed
    Code.AS_SCHEMA: gettext_noop("%(words)s"),
    Code.EITHER: gettext_noop("%(choices)s"),
    Code.ONE_OF: gettext_noop("one of %(names)s"),
    Code.TEXT: gettext_noop("text"),
    Code.TEXT_FROM_TO: gettext_noop("text of %(low)s to %(high)s characters"),
    Code.TEXT_AT_MOST: gettext_noop("text of at most %(high)s characters"),
    Code.NUMBER_FROM_TO: gettext_noop("a number from %(low)s to %(high)s"),
    Code.NUMBER_ABOVE_TO: gettext_noop("a number above %(low)s up to %(high)s"),
    Code.WHOLE_NUMBER_FROM_TO: gettext_noop("a whole number from %(low)s to %(high)s"),
    Code.BOOLEAN: gettext_noop("true or false"),
    Code.LIST: gettext_noop("a list"),
    Code.LIST_FROM_TO: gettext_noop("a list of %(low)s to %(high)s items"),
    Code.LIST_AT_MOST: gettext_noop("a list of at most %(high)s items"),
    Code.LIST_OF_TASKS: gettext_noop("a list of tasks"),
    Code.LIST_OF_TASKS_AT_MOST: gettext_noop("a list of at most %(count)s tasks"),
    Code.OBJECT: gettext_noop("an object"),
    Code.OBJECT_AT_MOST: gettext_noop("an object of at most %(high)s names"),
    Code.OBJECT_OF_TEXT_NAMES: gettext_noop("an object whose names are text"),
    Code.NULL: gettext_noop("null"),
    Code.EMPTY: gettext_noop("empty"),
    Code.JSON_VALUE: gettext_noop("a JSON value"),
    Code.SOUND_TEXT: gettext_noop("text without NUL and without half of a surrogate pair"),
    Code.SOUND_NUMBER: gettext_noop("a finite number of at most 15 digits"),
    Code.LEVELS_AT_MOST: gettext_noop("at most %(number)s levels"),
    Code.CONTAINERS_AT_MOST: gettext_noop("at most %(count)s lists and objects"),
    Code.TASKS_AT_MOST: gettext_noop("at most %(count)s tasks"),
    Code.BYTES_AT_MOST: gettext_noop("%(bytes)s bytes"),
    Code.LAYOUTS: gettext_noop('{"tasks": [...]}, a list of tasks, or one task'),
    Code.EXISTING_TASK: gettext_noop("the id of an existing task"),
    Code.OTHER_TASK: gettext_noop("the id of another task"),
    Code.UNUSED_ID: gettext_noop("an id that was never used"),
    Code.FREE_ID: gettext_noop("an id not in use"),
    Code.TASK_OF_FILE: gettext_noop("a task of the file"),
    Code.NO_CYCLE: gettext_noop("no cycle"),
    Code.EACH_ID_ONCE: gettext_noop("each id once"),
    Code.EACH_NAME_ONCE: gettext_noop("each name once"),
    Code.EACH_ONCE: gettext_noop("each once"),
    Code.TIME_ZONE: gettext_noop("a name of the IANA database"),
    Code.SCHEDULE: gettext_noop(
        "a cron expression of five or six fields, an alias such as @daily, or empty text"
    ),
    Code.NULL_UNLESS_ALLOW: gettext_noop('null unless task_concurrency is "allow" (it is "%(found)s")'),
    Code.PATH_WITHOUT_DOTS: gettext_noop("a path without .."),
    Code.MAIL_ADDRESS: gettext_noop("one mail address such as ops@example.org"),
    Code.OLDER_ADDRESSES: gettext_noop("true, false, or mail addresses as text or a list"),
    Code.URL_WITH_HOST: gettext_noop("an http or https URL with a host"),
    Code.SECRET_ITSELF: gettext_noop(
        "the secret; its mask only if kind, scheme, host and port are unchanged"
    ),
    Code.LONG_SECRET: gettext_noop(
        "at least %(number)s characters for a secret, or “-%(name)s” in _SECRETS when it is none"
    ),
}
#: The texts of `$comment` in the schema, verbatim; channel kinds mark their own for translation.
OF_SCHEMA = (
    gettext_noop("1 to 64 letters, digits, _ and -"),
    gettext_noop('a list of exit codes from 0 to 255, or ranges of them such as "64-78"'),
    gettext_noop("a local time HH:MM, a number of seconds above 0 up to 31536000, or null"),
    gettext_noop("a local time HH:MM, a number of seconds above 0 up to 31536000, or empty"),
    gettext_noop('an exit code from 0 to 255, or a range such as "64-78"'),
    gettext_noop(
        "an object of success, business_failure, technical_failure and no_retry to lists of exit codes"
    ),
    gettext_noop("at most 50 small letters, digits, _ and -"),
    gettext_noop("letters, digits and _, not beginning with a digit, at most 200"),
    gettext_noop("one line of 1 to 200 characters, not only spaces"),
    gettext_noop("one line of at most 1000 characters"),
    gettext_noop("one line of at most 200 characters"),
    gettext_noop("text of 1 to 131071 bytes in UTF-8, not only spaces"),
    gettext_noop("text of 1 to 50 characters without spaces and commas"),
    gettext_noop("text of at most 131071 bytes in UTF-8, with name and ="),
    gettext_noop("the absolute path of a shell such as /bin/bash, at most 255 characters"),
    gettext_noop("the id of a task: 1 to 64 letters, digits, _ and -"),
    gettext_noop("the name of a text encoding such as gb18030, shift_jis or latin-1, or empty"),
)
OR = gettext_noop(" or ")
add_templates(TEMPLATES)
