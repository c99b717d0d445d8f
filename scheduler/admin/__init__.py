"""The site: one module a group of pages. Everything it writes goes through services."""

from django.contrib import admin

from scheduler.admin import access, executions, processes, runs, tasks
from scheduler.queues import QUEUE_MODELS

__all__ = ["access", "executions", "processes", "runs", "tasks"]

admin.site.empty_value_display = "–"

for model in QUEUE_MODELS:
    if admin.site.is_registered(model):
        admin.site.unregister(model)  # whoever may add a django-q2 schedule may run any function
