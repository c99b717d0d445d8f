"""Schedules in Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.wording.schedules.parts import MOST_TIMES, cycle, progression

UNITS = {"second": "秒", "minute": "分钟", "hour": "小时"}
PLACES = {"second": ("在每分钟的", "秒"), "minute": ("在每小时的", "分")}
WITHIN = {"minute": ("在第", "分钟"), "hour": ("在", "点")}
NUMERALS = "一二三四五六日"
ORDINALS = ("最后一个", "第一个", "第二个", "第三个", "第四个", "第五个")


class Chinese:
    """Chinese words."""

    def at(self, clocks: Sequence[str], *, is_alone: bool) -> str:
        """Return "每天 02:00 和 03:00"."""
        return ("每天 " if is_alone else "") + _listed(clocks)

    def every(self, unit: str, step: int) -> str:
        """Return "每 5 分钟"."""
        return f"每{UNITS[unit]}" if step == 1 else f"每 {step} {UNITS[unit]}"

    def past(self, unit: str, values: Sequence[int]) -> str:
        """Return "在每小时的 5 和 20 分"."""
        before, after = PLACES[unit]
        return f"{before} {_numbers(values, after)}"

    def within(self, unit: str, values: Sequence[int]) -> str:
        """Return "在 09:00 和 17:59 之间"."""
        if unit == "hour" and values[-1] - values[0] == len(values) - 1:
            return f"在 {values[0]:02}:00 和 {values[-1]:02}:59 之间"
        before, after = WITHIN[unit]
        return f"{before} {_numbers(values, after)}"

    def hours(self, step: int, first: str, last: str) -> str:
        """Return "从 01:05 到 23:05 每 2 小时"."""
        return f"从 {first} 到 {last} {self.every('hour', step)}"

    def days(self, days: Sequence[int], *, has_last: bool) -> str:
        """Return "每月 1 和 15 号"."""
        step = progression(days)
        if not has_last and step == 1:
            return f"在每月 {days[0]} 和 {days[-1]} 号之间"
        if not has_last and step is not None and len(days) > MOST_TIMES:
            return f"从每月 {days[0]} 号到 {days[-1]} 号每 {step} 天"
        if not days:
            return "每月最后一天"
        return f"每月 {_listed([str(day) for day in days])} 号" + ("和最后一天" if has_last else "")

    def nearest(self, day: int) -> str:
        """Return "每月最接近 15 号的工作日"."""
        return f"每月最接近 {day} 号的工作日"

    def weekdays(self, weekdays: Sequence[int]) -> str:
        """Return "星期一到星期五" or "星期一和星期五"."""
        names = [f"星期{NUMERALS[day - 1]}" for day in weekdays]
        return f"{names[0]}到{names[-1]}" if progression(weekdays) == 1 else _joined(names)

    def nth(self, which: Sequence[tuple[int, int]]) -> str:
        """Return "每月第一个星期一和第三个星期三"."""
        return "每月" + _joined([f"{ORDINALS[number]}星期{NUMERALS[day - 1]}" for number, day in which])

    def either(self, by_month: str, by_week: str) -> str:
        """Return "…，或星期五"."""
        return f"{by_month}，或{by_week}"

    def both(self, by_month: str, by_week: str) -> str:
        """Return "…，且仅限星期五"."""
        return f"{by_month}，且仅限{by_week}"

    def months(self, months: Sequence[int]) -> str:
        """Return "每 3 个月", "3 月到 6 月" or "仅在 5 月"."""
        step = cycle(months, 12, lowest=1)
        if step is not None and step < 12:
            return f"每 {step} 个月"
        names = [f"{month} 月" for month in months]
        return f"{names[0]}到 {names[-1]}" if progression(months) == 1 else f"仅在 {_months(names)}"

    def join(self, parts: Sequence[str]) -> str:
        """Return the parts with commas."""
        return "，".join(parts)


def _listed(items: Sequence[str]) -> str:
    return " 和 ".join(["、".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _joined(items: Sequence[str]) -> str:
    return "和".join(["、".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _months(names: Sequence[str]) -> str:
    return "和 ".join(["、".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _numbers(values: Sequence[int], unit: str) -> str:
    step = progression(values)
    if step is not None and (step == 1 or len(values) > MOST_TIMES):
        return f"{values[0]} 到 {values[-1]} {unit}" + (f"（步长 {step}）" if step > 1 else "")
    return f"{_listed([str(value) for value in values])} {unit}"
