"""The form of a rule: its fields, trying out a draft before it is saved, and saving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications.channels.drafts import Configs
from notifications.channels.registry import REGISTRY
from notifications.choices import Scope
from notifications.forms.drafts import (
    KEY,
    RuleDraft,
    configs_of,
    draft_of,
    new_channel,
    new_draft,
    posted_draft,
)
from notifications.models import NotificationRule, RuleChannel
from notifications.services import definitions, test_messages
from notifications.services.rehearsal import rehearse
from notifications.views.access import CHANGE_TASK, require
from notifications.wording.rules import channel_words, rule_sentence
from scheduler.config_file import ConfigError
from scheduler.exceptions import ConflictError, LimitReachedError
from scheduler.models import Task
from scheduler.services.limits import Scope as LimitScope
from scheduler.services.origin import origin_of
from scheduler.services.rates import count_request
from scheduler.views.frame import key_in, now, page, text_of
from scheduler.views.login import said_wait
from scheduler.wording.reasons import told_error

REHEARSED_DAYS = 30
SHOWN = 60
TAGS_OFFERED = 200


class WhomForm(forms.Form):
    """The tasks a rule applies to."""

    scope = forms.ChoiceField(choices=Scope.choices, initial=Scope.ALL)
    tag = forms.CharField(required=False, max_length=200)
    task = forms.ModelChoiceField(Task.objects.all(), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = NotificationRule._meta.get_field("task")
        widget = AutocompleteSelect(field, admin.site, attrs={"data-width": "100%"})
        widget.choices = self.fields["task"].choices  # type: ignore[attr-defined]  # of the choice field
        self.fields["task"].widget = widget
        if self.is_bound:
            given: Any = self.data
            self.data = data = given.copy()
            data["task"] = key_in(data.get("task"))  # the widget looks the value up

    def clean(self) -> dict[str, Any]:
        """Require the field that the scope needs and drop the others."""
        data = super().clean() or self.cleaned_data
        scope = data.get("scope")
        if scope == Scope.TASK and not data.get("task") and "task" not in self.errors:
            self.add_error("task", _("Choose a task."))
        if scope == Scope.TAG and "tag" not in self.errors:
            try:
                data["tag"] = definitions.validate_tag(data.get("tag", "").strip())
            except ConfigError:
                self.add_error("tag", _("A word of 1 to 50 characters without spaces and commas is needed."))
        if scope != Scope.TASK:
            data["task"] = None
        if scope != Scope.TAG:
            data["tag"] = ""
        return data


# --- the page ---------------------------------------------------------------------------------------


def add_rule(request: HttpRequest) -> HttpResponse:
    """Show the form of a new rule and save it."""
    require(request, "add_notificationrule", "change_notificationrule")
    if request.method != "POST":
        whom = WhomForm(initial=_initial(request))
        draft = new_draft("r0")
        draft.channels.append(new_channel())
        return _show(request, None, draft, whom)
    draft, whom = posted_draft(request.POST, "r0", {}), WhomForm(request.POST)
    spec, is_placed = draft.check({}), whom.is_valid()
    if spec is None or not is_placed:
        return _show(request, None, draft, whom)
    return _save(request, None, draft, whom, spec)


def change_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form of a rule and save it; without permission to change it, show the rule page."""
    require(request, "view_notificationrule")
    rule = find_rule(pk)
    if not request.user.has_perm("notifications.change_notificationrule") or (
        rule.scope == Scope.TASK and not request.user.has_perm(CHANGE_TASK)
    ):
        return HttpResponseRedirect(reverse("admin:notifications_rule_page", args=[pk]))
    configs = configs_of([rule])
    place: dict[str, Any] = {"scope": rule.scope, "tag": rule.tag, "task": rule.task_id}
    if request.method != "POST":
        return _show(request, rule, draft_of(rule), WhomForm(initial=place))
    # Scope and task of a rule are fixed; its tag may change.
    if rule.scope == Scope.TAG:
        place["tag"] = request.POST.get("tag", "")
    draft, whom = posted_draft(request.POST, "r0", configs), WhomForm(place)
    spec, is_placed = draft.check(configs), whom.is_valid()
    if spec is None or not is_placed:
        return _show(request, rule, draft, whom)
    return _save(request, rule, draft, whom, spec)


def find_rule(pk: int) -> NotificationRule:
    """Return a rule with its task and channels.

    Raises:
        Http404: no such rule.
    """
    rows = NotificationRule.objects.select_related("task").prefetch_related("channels")
    rule: NotificationRule = get_object_or_404(rows, pk=pk)
    return rule


def _initial(request: HttpRequest) -> dict[str, Any]:
    """Return the initial scope of a new rule from the query parameters."""
    task, tag = key_in(request.GET.get("task")), text_of(request, "tag", 50)
    if task:
        return {"scope": Scope.TASK, "task": int(task)}
    return {"scope": Scope.TAG, "tag": tag} if tag else {"scope": Scope.ALL}


def _show(
    request: HttpRequest, rule: NotificationRule | None, draft: RuleDraft, whom: WhomForm
) -> HttpResponse:
    draft.is_open = True
    context = {
        "title": _("New rule") if rule is None else _("Edit rule"),
        "row": rule,
        "draft": draft,
        "whom": whom,
        "scope": str(whom["scope"].value() or Scope.ALL),
        "scopes": Scope.choices,
        "tags": _known_tags(),
        "is_refused": draft.is_refused or bool(whom.errors),
        "may_test": request.user.has_perm("notifications.test_notificationrule"),
    }
    return page(request, "notifications/rule_form.html", context)


def _known_tags() -> list[str]:
    lists = Task.objects.order_by().values_list("tags", flat=True)
    return sorted({tag for tags in lists for tag in tags})[:TAGS_OFFERED]


def _save(
    request: HttpRequest,
    rule: NotificationRule | None,
    draft: RuleDraft,
    whom: WhomForm,
    spec: dict[str, Any],
) -> HttpResponse:
    place = whom.cleaned_data
    scope, user = Scope(place["scope"]), _user(request)
    if scope == Scope.TASK and not request.user.has_perm(CHANGE_TASK):
        raise PermissionDenied
    try:
        saved = definitions.save_rule(
            spec, scope=scope, task=place["task"], tag=place["tag"], row=rule, user=user, now=now()
        )
    except (ConfigError, ConflictError) as error:
        whom.add_error(None, told_error(error))
        return _show(request, rule, draft, whom)
    messages.success(request, _("The rule was saved. %(sentence)s.") % {"sentence": rule_sentence(spec)})
    return HttpResponseRedirect(reverse("admin:notifications_rule_page", args=[saved.pk]))


def _user(request: HttpRequest) -> Any:
    return request.user


# --- parts of the form ------------------------------------------------------------------------------


def rule_part(request: HttpRequest) -> HttpResponse:
    """Return the fields of a new rule, for a form with several rules."""
    require(request, "view_notificationrule")
    draft = new_draft()
    draft.channels.append(new_channel())
    return render(request, "notifications/_rule.html", {"draft": draft, **_of_form(request), "is_new": True})


def channel_part(request: HttpRequest) -> HttpResponse:
    """Return the fields of a new channel of a kind."""
    require(request, "view_notificationrule")
    kind, key = request.GET.get("kind", ""), request.GET.get("rule", "")
    if kind not in REGISTRY or not KEY.fullmatch(key):
        raise Http404
    draft = RuleDraft(key=key)
    context = {"draft": draft, "channel": new_channel(kind), "is_new": True}
    return render(request, "notifications/_channel.html", context)


def _of_form(request: HttpRequest) -> dict[str, Any]:
    """Return the context that the fields of a rule need about the surrounding form."""
    task = request.GET.get("task", "")
    is_stored = bool(key_in(task))
    return {
        "task_pk": int(task) if is_stored else None,
        "is_listed": True,
        "may_test": request.user.has_perm("notifications.test_notificationrule"),
    }


def describe_draft(request: HttpRequest) -> HttpResponse:
    """Return when the draft rule would send a message, updated while typing; empty while the draft is invalid."""
    require(request, "view_notificationrule")
    sentence = _draft(request, {}).sentence
    return render(request, "notifications/_sentence.html", {"sentence": sentence})


def rehearse_draft(request: HttpRequest) -> HttpResponse:
    """Return what the draft rule would have sent."""
    require(request, "view_notificationrule", "change_notificationrule")
    about = _subject(request)
    draft = _draft(request, about.configs)
    # The recipients hardly matter here, so a rule can be rehearsed before its channels are complete.
    spec = draft.check_when(about.configs)
    if spec is None or about.tasks is None:
        problems = [*draft.problems, *about.problems]
        return render(request, "notifications/_trial_refused.html", {"problems": problems})
    return rehearsal(request, spec, about.tasks)


def test_draft(request: HttpRequest) -> HttpResponse:
    """Send a test message to each channel of the draft rule and return the results."""
    require(request, "test_notificationrule", "change_notificationrule")
    about = _subject(request)
    if about.is_part_of_task and not request.user.has_perm(CHANGE_TASK):
        raise PermissionDenied
    draft = _draft(request, about.configs)
    spec = draft.check(about.configs)
    if spec is None:
        return render(request, "notifications/_trial_refused.html", {"problems": draft.problems})
    channels = [
        RuleChannel(kind=c["type"], config={k: v for k, v in c.items() if k != "type"})
        for c in spec["channels"]
    ]
    return test_results(request, channels, name=spec["name"], task=about.task)


def test_results(
    request: HttpRequest,
    channels: Sequence[RuleChannel],
    *,
    rule: NotificationRule | None = None,
    name: str = "",
    task: Task | None = None,
) -> HttpResponse:
    """Send a test message to each of `channels` and return the results, subject to the account's rate limit."""
    account = request.user.get_username()
    try:
        count_request(LimitScope.TEST, account=account, origin=origin_of(request), now=now())
    except LimitReachedError as error:
        return render(request, "notifications/_trial_refused.html", {"problems": [said_wait(error.seconds)]})
    sent = test_messages.send_test_messages(channels, rule=rule, rule_name=name, task=task, now=now())
    rows = [
        (delivery, channel_words(channel.kind, channel.config))
        for delivery, channel in zip(sent, channels, strict=True)
    ]
    return render(request, "notifications/_test_results.html", {"rows": rows})


def rehearsal(request: HttpRequest, spec: dict[str, Any], tasks: Sequence[Task]) -> HttpResponse:
    """Return what a valid rule would have sent about `tasks`."""
    found = rehearse(spec, tasks, days=REHEARSED_DAYS, now=now())
    by_id = {task.task_id: task for task in tasks}
    context = {
        "found": found,
        "days": REHEARSED_DAYS,
        "rows": [(message, by_id[message.task_id]) for message in found.messages[:SHOWN]],
        "more": max(found.sent + found.suppressed - SHOWN, 0),
        "tasks": len(tasks),
        "has_deadline": any(task.deadline is not None for task in tasks),
        "asks_overdue": "overdue" in spec["triggers"],
        "sentence": rule_sentence(spec),
    }
    return render(request, "notifications/_rehearsal.html", context)


def tasks_of(scope: str, task: Task | None, tag: str) -> list[Task]:
    """Return the tasks a rule applies to."""
    if task is not None:
        return [task]
    rows = Task.objects.tagged(tag) if scope == Scope.TAG else Task.objects.all()
    return list(rows.order_by("task_id"))


@dataclass(frozen=True)
class _Subject:
    """The stored object that a draft belongs to.

    Attributes:
        task: the task, if there is exactly one.
        tasks: the tasks whose history is used for a rehearsal; None if the form does not name them validly.
        configs: stored channels whose secrets the draft may keep.
        is_part_of_task: changing the rule changes a task.
        problems: why `tasks` is None.
    """

    task: Task | None
    tasks: list[Task] | None
    configs: Configs
    is_part_of_task: bool
    problems: list[str]


def _subject(request: HttpRequest) -> _Subject:
    """Return what a form belongs to: a stored rule, a new one, or the rules of a task."""
    stored = request.POST.get("form_of", "")
    pk = int(stored) if key_in(stored) else None
    if request.POST.get("form_is") == "task":
        if pk is None:
            return _Subject(None, None, {}, True, [_("A new task has no history yet.")])
        task = get_object_or_404(Task, pk=pk)
        rules = NotificationRule.objects.filter(task=task, scope=Scope.TASK).prefetch_related("channels")
        return _Subject(task, [task], configs_of(rules), True, [])
    rule = None if pk is None else find_rule(pk)
    place: Any = request.POST
    if rule is not None:
        tag = request.POST.get("tag", "")
        place = {"scope": rule.scope, "task": rule.task_id, "tag": tag}
    whom = WhomForm(place)
    configs = {} if rule is None else configs_of([rule])
    is_part = place.get("scope") == Scope.TASK
    if not whom.is_valid():
        problems = [str(text) for texts in whom.errors.values() for text in texts]
        return _Subject(None, None, configs, is_part, problems)
    found = whom.cleaned_data
    return _Subject(
        found["task"], tasks_of(found["scope"], found["task"], found["tag"]), configs, is_part, []
    )


def _draft(request: HttpRequest, configs: Configs) -> RuleDraft:
    key = request.POST.get("asked", "")
    if not KEY.fullmatch(key):
        raise Http404
    return posted_draft(request.POST, key, configs)
