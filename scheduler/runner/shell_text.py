"""Shell scripts that run a command text and publish its exit code for any later process."""

from __future__ import annotations

import functools
import re
import shlex

from scheduler.runner.contracts import EXIT, NEVER

LONGEST_PLAIN = 4096  # characters; the text and the code before it must fit into one argument on Linux

# A word without shell syntax except variables: no substitution, no operator, no pattern.
_VARIABLE = r"\$(?:\$|[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})"
_BARE = r"[A-Za-z0-9_./:,@%+^-]"
_WORD = rf"(?:{_BARE}|=|'[^'\n\0]*'|\"(?:[^\"$`\\\n\0!]|{_VARIABLE})*\"|{_VARIABLE})+"
_REDIRECTION = rf"[0-9]?(?:[<>]&[0-9-]|(?:>>|>|<) *{_WORD})"
_PLAIN_COMMAND = re.compile(rf" *(?P<name>{_BARE}+)(?: +(?:{_REDIRECTION}|{_WORD}))* *")
_OPERATOR = re.compile(r";|&&|\|\|?")

# Keywords and builtins of dash, bash and busybox. Builtins that change neither traps nor the process nor later commands
# are not listed: cd, echo, exit, false, kill, printf, pwd, test, true.
_SHELL_WORDS = """
    . : alias bg bind break builtin caller case chdir command compgen complete compopt continue coproc declare
    dirs disown do done elif else enable esac eval exec export fc fg fi for function getopts hash help history if in
    jobs let local logout mapfile popd pushd read readarray readonly return select set shift shopt source suspend
    then time times trap type typeset ulimit umask unalias unset until wait while
""".split()  # noqa: SIM905 - a list would have a line for each word

# Executed before the command: wait for a line from the worker, sent once the pid is on disk, where an adopter finds it.
# A worker that dies closes its end of the pipe.
_WAIT = f"read _||{{{{ echo {NEVER} >>{{file}};exit 125;}}}};"
# On the same line as the text, so that errors report line 1. A plain text has no syntax errors, which skip the trap.
_SAME_SHELL = _WAIT + f"exec </dev/null;trap 'echo {EXIT} $? >>{{quoted_file}}' EXIT;"
# The publishing shell must survive signals; its message about a signal that killed the inner shell precedes the code.
_OWN_SHELL = (
    _WAIT + "exec </dev/null 3>&1 >>{file} 2>&1;trap : HUP INT QUIT TERM USR1 USR2 ALRM PIPE;"
    '(exec {shell} -c {end_of_options}"$1" >&3 2>&3 3>&-);code=$?;'
    f"echo {EXIT} $code;exit $code"
)


@functools.lru_cache(maxsize=1024)
def is_plain(text: str) -> bool:
    """Return whether a text is one line of commands that cannot replace the shell, its traps or its exit code.

    Conservative: False in case of doubt.
    """
    position = 0
    while len(text) <= LONGEST_PLAIN and (found := _PLAIN_COMMAND.match(text, position)):
        if found["name"] in _SHELL_WORDS or found["name"][0] in "-+%":
            return False
        if found.end() == len(text):
            return True
        operator = _OPERATOR.match(text, found.end())
        if operator is None:
            return False
        position = operator.end()
    return False


def shell_arguments(text: str, shell: str, file: str) -> list[str]:
    """Return the arguments of a process that waits for a line on stdin, runs the text and publishes its exit code.

    A plain text runs in the publishing shell, any other text in a child shell, where neither `exec` nor a trap can
    prevent the publication. In both cases, `$0`, `$#` and the line numbers of errors are those of ``shell -c text``.

    Args:
        file: path to which ``exit CODE`` is appended, after the shell's message about a signal that ended the text.
    """
    quoted = shlex.quote(file)
    if shell == "/bin/sh" and is_plain(text):
        before = _SAME_SHELL.format(file=quoted, quoted_file=quoted.replace("'", "'\\''"))
        return [shell, "-c", before + text]
    # The text is an argument of its own, without a prefix, so that it can use the full length that Linux allows.
    end_of_options = "-- " if text.startswith(("-", "+")) else ""
    script = _OWN_SHELL.format(file=quoted, shell=shlex.quote(shell), end_of_options=end_of_options)
    return ["/bin/sh", "-c", script, "sh", text]
