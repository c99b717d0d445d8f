"""Entry point of gunicorn."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "schedsite.settings")
application = get_wsgi_application()

# All pages are loaded now rather than by the first reader, and what they are made of is set aside: looked through for
# garbage again and again, it made one of fifteen requests wait for as long as a page takes.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
