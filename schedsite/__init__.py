"""Configuration and wiring of the site; no logic."""

import os
from collections.abc import Mapping
from types import MappingProxyType

from schedsite.hidden_environment import take_over
from schedsite.zone_data import refresh

__version__ = "1.0.0"

take_over()
refresh()

#: The environment that this process was started with. It is copied here, before the settings are read, because Django
#: puts a TZ of its own in its place.
STARTED_WITH: Mapping[str, str] = MappingProxyType(dict(os.environ))
