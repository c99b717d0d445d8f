"""Maps the https addresses of chat robots to their services and to the URL format of Apprise.

Apprise accepts the https addresses of some services (Slack, Discord, WeCom); the others need its own format. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_CONNECTOR = ("Microsoft Teams", "workflows://HOST/WORKFLOW/SIGNATURE")

#: By host: the service name, and its Apprise URL with placeholders in capitals.
# Source: https://github.com/caronc/apprise/wiki, the page of each service.
_BY_HOST: Mapping[str, tuple[str, str]] = {
    "oapi.dingtalk.com": ("DingTalk", "dingtalk://ACCESS_TOKEN"),
    "open.feishu.cn": ("Feishu", "feishu://TOKEN"),
    "open.larksuite.com": ("Lark", "lark://TOKEN"),
    "qyapi.weixin.qq.com": ("WeCom", "wecombot://KEY"),
    "hooks.slack.com": ("Slack", "slack://TOKEN_A/TOKEN_B/TOKEN_C"),
    "slack.com": ("Slack", "slack://BOT_TOKEN/CHANNEL"),
    "discord.com": ("Discord", "discord://WEBHOOK_ID/WEBHOOK_TOKEN"),
    "discordapp.com": ("Discord", "discord://WEBHOOK_ID/WEBHOOK_TOKEN"),
    "api.telegram.org": ("Telegram", "tgram://BOT_TOKEN/CHAT_ID"),
    "outlook.office.com": _CONNECTOR,
    "outlook.office365.com": _CONNECTOR,
    "sctapi.ftqq.com": ("ServerChan", "schan://SEND_KEY"),
    "sc.ftqq.com": ("ServerChan", "schan://SEND_KEY"),
    "www.pushplus.plus": ("PushPlus", "pushplus://TOKEN"),
    "api.day.app": ("Bark", "barks://api.day.app/DEVICE_KEY"),
    "api2.pushdeer.com": ("PushDeer", "pushdeer://PUSH_KEY"),
    "wxpusher.zjiecode.com": ("WxPusher", "wxpusher://APP_TOKEN/TOPIC_ID"),
    "chat.googleapis.com": ("Google Chat", "gchat://WORKSPACE/KEY/TOKEN"),
    "api.pushover.net": ("Pushover", "pover://USER_KEY@APP_TOKEN"),
    "maker.ifttt.com": ("IFTTT", "ifttt://WEBHOOK_ID@EVENT"),
    "ntfy.sh": ("ntfy", "ntfy://TOPIC"),
}
_BY_END: Mapping[str, tuple[str, str]] = {
    ".webhook.office.com": _CONNECTOR,
    ".logic.azure.com": _CONNECTOR,
    ".powerplatform.com": _CONNECTOR,
}


def form_for(url: str) -> tuple[str, str] | None:
    """Return the service name and the Apprise URL format for a web address, or None.

    Args:
        url: as typed; only http and https URLs can match.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    return _BY_HOST.get(host) or next((form for end, form in _BY_END.items() if host.endswith(end)), None)
