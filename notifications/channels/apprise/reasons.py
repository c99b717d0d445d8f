"""Reason codes of the Apprise channel; see `scheduler.engine.reasons`."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why an Apprise service failed or is rejected, and what is allowed. The values are stored and never change."""

    SENT_TO = "sent_to"
    SENT_IN_PART = "sent_in_part"
    SERVICE_FAILED = "service_failed"
    SERVICE_REFUSED = "service_refused"
    SERVICE_SAYS_NO = "service_says_no"
    SERVICES_GONE = "services_gone"
    SENDING_PROCESS_ENDED = "sending_process_ended"
    SERVICE_NOT_AVAILABLE = "service_not_available"
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_NOT_MADE = "service_not_made"
    SERVICE_FORM_UNKNOWN = "service_form_unknown"
    SERVICE_FORM = "service_form"
    SERVICE_IS_WEBHOOK = "service_is_webhook"
    DID_YOU_MEAN = "did_you_mean"
    SHOWS_ON_SCREEN = "shows_on_screen"
    WRITES_TO_LOG = "writes_to_log"
    SENDS_DATAGRAMS = "sends_datagrams"
    READS_KEY_FILES = "reads_key_files"
    PROGRAM_REFUSED = "program_refused"
    SOCKET_REFUSED = "socket_refused"
    HOST_NOT_RESOLVED = "host_not_resolved"
    FILE_NOT_WRITTEN = "file_not_written"
    FILE_NOT_READ = "file_not_read"
    PUBLIC_SERVICE = "public_service"
