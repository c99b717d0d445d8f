#!/bin/sh
# django-unfold 0.91.0 (Django 5.2.19): its template of a textarea has no line break behind the opening tag, where Django's
# has one. HTML drops the first line break behind that tag, so a text that begins with an empty line loses it each time
# the form is opened and saved.
#
# Seen (what a browser has as the value of a stored "\nfirst\nsecond"):
#   Django '\nfirst\nsecond'
#   Unfold 'first\nsecond'
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check django-unfold==0.91.0 Django==5.2.19 html5lib==1.1 2>/dev/null
cat >look.py <<'PY'
import django
import html5lib
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["unfold", "django.forms", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    FORM_RENDERER="django.forms.renderers.TemplatesSetting",
)
django.setup()
from django.contrib.admin.widgets import AdminTextareaWidget
from unfold.widgets import UnfoldAdminTextareaWidget

for name, widget in (("Django", AdminTextareaWidget()), ("Unfold", UnfoldAdminTextareaWidget())):
    page = html5lib.parse(widget.render("text", "\nfirst\nsecond"), namespaceHTMLElements=False)
    print(name, repr(page.find(".//textarea").text))
PY
v/bin/python look.py >seen
sed -n 's/^#   //p' "$script" | diff - seen
