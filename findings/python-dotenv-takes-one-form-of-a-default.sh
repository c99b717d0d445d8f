#!/bin/sh
# python-dotenv 1.2.4: of the forms of ${…} that docker compose documents for environment files (and the shell has), one
# is expanded: ${A:-text}. ${A-text} becomes empty instead of the text, the forms with :+ and :? stay as they are
# written, and a default that names another variable is not expanded: the closing brace of the inner name ends the outer
# form. No error or warning is given for any of them.
#
# Seen:
#   PLAIN_DEFAULT 'text'
#   UNSET_DEFAULT ''
#   NESTED_DEFAULT '${INNER}'
#   ALTERNATIVE '${INNER:+text}'
#   REQUIRED '${ABSENT:?text}'
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check python-dotenv==1.2.4 2>/dev/null
cat >file.env <<'ENV'
INNER=value
PLAIN_DEFAULT=${ABSENT:-text}
UNSET_DEFAULT=${ABSENT-text}
NESTED_DEFAULT=${ABSENT:-${INNER}}
ALTERNATIVE=${INNER:+text}
REQUIRED=${ABSENT:?text}
ENV
cat >look.py <<'PY'
import dotenv

for name, value in dotenv.dotenv_values("file.env").items():
    if name != "INNER":
        print(name, repr(value))
PY
v/bin/python look.py >seen
sed -n 's/^#   //p' "$script" | diff - seen
