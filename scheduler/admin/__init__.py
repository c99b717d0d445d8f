"""The admin site: one module per group of pages. All writes go through services."""

from importlib import import_module

from django.contrib import admin

from scheduler.admin import access, audit, executions, processes, runs, tasks
from scheduler.queues import QUEUE_MODELS
from scheduler.views.login import LoginForm

__all__ = ["access", "audit", "executions", "processes", "runs", "tasks"]

admin.site.empty_value_display = "–"
admin.site.login_form = LoginForm

import_module("django_q.admin")  # it registers what is taken away here
for model in QUEUE_MODELS:
    if admin.site.is_registered(model):
        admin.site.unregister(model)  # a user who can add a django-q2 schedule can run any function
