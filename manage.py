#!/usr/bin/env python
"""Command line of Schedsite: `python manage.py help` lists what it can do."""

import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # until everything is loaded (schedsite.apps): it leaves no garbage, and searching takes time
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "schedsite.settings")

    from schedsite.hidden_environment import hide

    hide()
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from schedsite.private_files import keep_files_private

    keep_files_private()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"the settings cannot be used: {error}")
