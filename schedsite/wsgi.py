"""WSGI entry point for `manage.py web` or another WSGI server."""

import gc
import os

import django
from django.urls import get_resolver

from schedsite.middleware.sound_requests import SoundHandler
from schedsite.web.hidden_modules import hidden_modules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "schedsite.settings")
django.setup(set_prefix=False)
application = SoundHandler()

# Load all views now rather than at the first request, and freeze the loaded objects: scanning them in each garbage
# collection delayed one of fifteen requests by the time that a page takes.
# Django REST framework and unfold also import what other projects need: the client of REST framework for tests, and
# fields of PostgreSQL, with psycopg. Neither is used here, and they take 14 MiB.
with hidden_modules("requests", "django.contrib.postgres"):
    _ = get_resolver().url_patterns
gc.collect()
gc.freeze()
