"""WSGI entry point for `manage.py web` or another WSGI server."""

import gc
import os

import django
from django.urls import get_resolver

from schedsite.middleware.sound_requests import SoundHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "schedsite.settings")
django.setup(set_prefix=False)
application = SoundHandler()

# Load all views now rather than at the first request, and freeze the loaded objects: scanning them in each garbage
# collection delayed one of fifteen requests by the time that a page takes.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
