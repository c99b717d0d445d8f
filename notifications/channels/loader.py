"""Template loader for the packages of channels: ``channels/<kind>/form.html`` and ``content.html``."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.exceptions import SuspiciousFileOperation
from django.template import Origin
from django.template.loaders import filesystem
from django.utils._os import safe_join

from notifications.channels.registry import REGISTRY


class Loader(filesystem.Loader):
    """Searches the packages of the registered kinds."""

    def get_template_sources(self, template_name: str) -> Iterator[Origin]:
        """Yield the origin of a channel template."""
        root, _, rest = template_name.partition("/")
        kind, _, name = rest.partition("/")
        if root != "channels" or kind not in REGISTRY:
            return
        try:
            path = safe_join(REGISTRY[kind].folder, name)
        except SuspiciousFileOperation:
            return
        yield Origin(name=path, template_name=template_name, loader=self)
