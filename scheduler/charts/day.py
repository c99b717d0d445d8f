"""The last and the next 24 hours of all tasks in one strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.scales import across, anchor

HEIGHT, FOOT = 96, 20


@dataclass(frozen=True)
class Bucket:
    """A span of time; `crowded` means that many slots share one instant.

    Attributes:
        succeeded, failed, other: past executions by outcome; `planned`: future slots.
        label: axis label; often empty.
    """

    href: str
    title: str
    succeeded: int = 0
    failed: int = 0
    other: int = 0
    planned: int = 0
    crowded: bool = False
    label: str = ""

    @property
    def total(self) -> int:
        """The number of all executions and slots."""
        return self.succeeded + self.failed + self.other + self.planned


def day_strip(buckets: Sequence[Bucket], *, now_at: float, label: str) -> SafeString:
    """Return the strip.

    Args:
        now_at: the present, from 0 at the left end to 1 at the right end.
    """
    most = max((bucket.total for bucket in buckets), default=0) or 1
    width = 1 / max(len(buckets), 1)
    tall = HEIGHT - FOOT - 8
    parts = [_bucket(bucket, index * width, width, tall, most) for index, bucket in enumerate(buckets)]
    labels = [(index * width, bucket.label) for index, bucket in enumerate(buckets) if bucket.label]
    names = format_html_join(
        "",
        '<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            ("s-axis s-wide" if number % 2 else "s-axis", across(place), HEIGHT - 5, anchor(place), text)
            for number, (place, text) in enumerate(labels)
        ),
    )
    now_x = across(now_at)
    return format_html(
        '<svg class="s-chart s-day" height="{}" role="group" aria-label="{}">'
        '<line class="s-grid" x1="0" x2="100%" y1="{}" y2="{}"/>{}{}'
        '<line class="s-now" x1="{}" x2="{}" y1="0" y2="{}"/></svg>',
        HEIGHT,
        label,
        HEIGHT - FOOT,
        HEIGHT - FOOT,
        format_html_join("", "{}", ((part,) for part in parts)),
        names,
        now_x,
        now_x,
        HEIGHT - FOOT,
    )


def _bucket(bucket: Bucket, x: float, width: float, tall: float, most: int) -> SafeString:
    """Return one column, with failures on top for visibility; `x` and `width` are shares."""
    bottom = float(HEIGHT - FOOT)
    layers = [
        ("success", bucket.succeeded),
        ("skipped", bucket.other),
        ("technical_failure", bucket.failed),
        ("crowded" if bucket.crowded else "planned", bucket.planned),
    ]
    rects = []
    for name, count in layers:
        if not count:
            continue
        height = max(tall * count / most, 2.0)
        bottom -= height
        rects.append((name, across(x + width / 10), round(bottom, 1), across(width * 0.8), round(height, 1)))
    drawn = format_html_join(
        "", '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="1"/>', rects
    )
    return format_html(
        '<a href="{}" tabindex="-1"><title>{}</title><rect class="s-hit" x="{}" width="{}" height="{}"/>{}</a>',
        bucket.href,
        bucket.title,
        across(x),
        across(width),
        HEIGHT - FOOT,
        drawn,
    )
