"""Slack, Telegram, DingTalk, Feishu, WeCom, ntfy and a hundred more services, through Apprise."""
