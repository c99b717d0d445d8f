"""`manage.py web`: serve the site."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from schedsite.web.connections import Limits
from schedsite.web.server import listen, open_files, serve

LOOPBACK = "127.0.0.1"


class Command(BaseCommand):
    """Serves pages and API until SIGTERM or SIGINT."""

    help = "Serve the site."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--bind",
            metavar="HOST:PORT",
            default=f"{LOOPBACK}:{settings.PORT}",
            help="Where to listen (default: %(default)s); port 0 is any that is free.",
        )

    def handle(self, *args: Any, bind: str, **options: Any) -> None:
        """Serve.

        Raises:
            CommandError: the server cannot listen on the address.
        """
        host, port = address_of(bind)
        if settings.DEBUG and not is_loopback(host):
            raise CommandError(
                f"DEBUG is on and --bind is {bind!r}: error pages would show code and settings to others; set DEBUG=0"
            )
        try:
            listener = listen(host, port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise CommandError(
                f"the site cannot listen on {bind}: {reason}; PORT or --bind names another address"
            ) from error
        connections = open_files(settings.SITE_CONNECTIONS)
        if connections < settings.SITE_CONNECTIONS:
            self.stderr.write(
                f"SITE_CONNECTIONS is {settings.SITE_CONNECTIONS}, but the limit of open files allows {connections}."
            )
        pages = importlib.import_module("schedsite.wsgi").application
        name = f"[{host}]" if ":" in host else host
        self.stderr.write(f"The site listens on http://{name}:{listener.getsockname()[1]}")
        limits = Limits(
            connections=connections,
            connections_of_address=settings.SITE_CONNECTIONS_PER_ADDRESS,
            read_s=settings.SITE_READ_TIMEOUT,
        )
        serve(pages, listener, limits=limits, threads=settings.SITE_THREADS)
        logging.shutdown()
        sys.stderr.flush()
        os._exit(0)  # a request past the grace time does not delay the end


def address_of(bind: str) -> tuple[str, int]:
    """Return host and port.

    Raises:
        CommandError: it is not HOST:PORT.
    """
    host, _, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise CommandError(f"--bind is {bind!r}; HOST:PORT is needed, such as 127.0.0.1:8000 or [::1]:8000")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Return whether a host is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
