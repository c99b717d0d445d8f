"""Texts that try to add a header, a recipient, a part or a line to a message. 100 and more, made of few pieces."""

from __future__ import annotations

#: What ends a line somewhere: in SMTP, HTTP, MIME, Unicode, JSON or a careless parser.
LINE_ENDS = (
    "\r\n",
    "\n",
    "\r",
    "\n\r",
    "\r\n\r\n",
    "\r\n ",
    "\r\n\t",
    "\n ",
    "\v",
    "\f",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\x00\r\n",
    "\r\x00\n",
    "\\r\\n",
    "%0d%0a",
    "%0A",
    "=0D=0A",
    "&#13;&#10;",
    "嘊嘍",  # their low bytes are LF and CR
)
#: What would stand on the new line.
PAYLOADS = (
    "Bcc: victim@evil.example",
    "To: victim@evil.example",
    "Content-Type: text/html",
    "X-Injected: 1",
    ".\r\nMAIL FROM:<evil@evil.example>",
)
TEXTS = tuple(f"Backup{end}{payload}" for end in LINE_ENDS for payload in PAYLOADS)

#: Recipients of which each is malformed, or is two.
RECIPIENTS = (
    "ops@example.org\r\nBcc: victim@evil.example",
    "ops@example.org\nBcc: victim@evil.example",
    "ops@example.org\r",
    "ops@example.org\x00",
    "ops@example.org\u2028victim@evil.example",
    "ops@example.org, victim@evil.example",
    "ops@example.org;victim@evil.example",
    "ops@example.org victim@evil.example",
    "<ops@example.org>, <victim@evil.example>",
    "Ops <ops@example.org>",
    '"ops@example.org, victim"@evil.example extra',
    "ops@example.org>\r\nRCPT TO:<victim@evil.example",
    "@example.org",
    "ops@",
    "ops",
    "",
    "ops@exa mple.org",
    "ops@-example.org",
    "ops..double@example.org",
    "ops@example..org",
)
