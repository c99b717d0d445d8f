"""Nobody grants more than they have, the last owner stays, and tokens end with the password."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from scheduler.models import AccountSession, ApiToken, AuditEvent
from scheduler.services import grants, owners
from scheduler.services.accounts import make_roles
from scheduler.services.owners import LastOwnerError
from scheduler.services.tokens import create_token
from tests.api_client import TokenClient, user_of

PASSWORD, NEW = "correct horse battery", "another long horse"
LAST = "The last owner (an active superuser who can log in) cannot be removed. Add another one first."


@pytest.fixture(autouse=True)
def fast_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_superuser("owner", password=PASSWORD)


def site_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def an_admin() -> User:
    user = user_of("Admin")
    user.is_staff = True
    user.save()
    return user


def form_of(user: User, **more: Any) -> dict[str, Any]:
    """Return what the page of an account sends."""
    known = {"username": user.username, "is_staff": "on" if user.is_staff else ""}
    known |= {"is_active": "on" if user.is_active else "", "is_superuser": "on" if user.is_superuser else ""}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    sent = {**known, **dates, "groups": [group.pk for group in user.groups.all()], **more}
    return {name: value for name, value in sent.items() if value not in ("", None)}


def url(user: User, page: str = "change") -> str:
    return f"/admin/auth/user/{user.pk}/{page}/"


# --- nobody grants more than they have ---------------------------------------------------------------


def test_admin_cannot_make_itself_or_others_superuser(owner: User) -> None:
    admin, other = an_admin(), User.objects.create_user("bob")

    for target in (admin, other):
        site_of(admin).post(url(target), form_of(target, is_superuser="on"))
        target.refresh_from_db()
        assert not target.is_superuser


def test_admin_cannot_give_permissions_or_roles_that_it_lacks(owner: User) -> None:
    admin, beyond = an_admin(), Permission.objects.get(codename="delete_logentry")
    strong = Group.objects.create(name="Strong")
    strong.permissions.add(beyond)

    site = site_of(admin)
    by_permission = site.post(url(admin), form_of(admin, user_permissions=[beyond.pk]))
    by_role = site.post(url(admin), form_of(admin, groups=[strong.pk]))
    by_new_role = site.post("/admin/auth/group/add/", {"name": "Mine", "permissions": [beyond.pk]})
    by_old_role = site.post(
        f"/admin/auth/group/{strong.pk}/change/", {"name": "Strong", "permissions": [beyond.pk]}
    )

    assert [by_permission.status_code, by_role.status_code, by_new_role.status_code] == [200, 200, 200]
    assert by_old_role.status_code == 403
    assert not User.objects.get(pk=admin.pk).has_perm("admin.delete_logentry")
    assert not Group.objects.filter(name="Mine").exists()


def test_admin_gives_what_it_has(owner: User) -> None:
    admin, other = an_admin(), User.objects.create_user("bob")
    viewer = Group.objects.get(name="Viewer")

    answer = site_of(admin).post(url(other), form_of(other, groups=[viewer.pk]))

    assert answer.status_code == 302
    assert list(other.groups.all()) == [viewer]


@pytest.mark.parametrize("page", ["change", "delete", "password"])
def test_admin_cannot_change_delete_or_reset_a_superuser(owner: User, page: str) -> None:
    User.objects.create_superuser("second", password=PASSWORD)
    data = {"post": "yes", "password1": NEW, "password2": NEW, "username": "x"}

    assert site_of(an_admin()).post(url(owner, page), data).status_code == 403
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD) and owner.username == "owner"


def test_admin_cannot_delete_a_superuser_among_others(owner: User) -> None:
    User.objects.create_superuser("second", password=PASSWORD)
    plain = User.objects.create_user("bob")
    data = {"action": "delete_selected", "_selected_action": [owner.pk, plain.pk], "post": "yes"}

    site_of(an_admin()).post("/admin/auth/user/", data)

    assert User.objects.filter(pk__in=[owner.pk, plain.pk]).count() == 2


def test_somebody_with_less_cannot_reset_the_password_of_somebody_with_more(owner: User) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    admin = an_admin()

    answer = site_of(clerk).post(url(admin, "password"), {"password1": NEW, "password2": NEW})

    assert answer.status_code == 403


def test_disabled_account_keeps_its_rank(owner: User) -> None:
    clerk, admin = User.objects.create_user("clerk"), an_admin()
    clerk.user_permissions.set(Permission.objects.filter(codename="change_user"))
    admin.is_active = False
    admin.save()

    assert not grants.may_manage(clerk, admin)


# --- the last owner stays ----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["is_active", "is_superuser", "is_staff"])
def test_last_owner_cannot_be_disabled_or_stripped_by_the_form(owner: User, field: str) -> None:
    page = site_of(owner).post(url(owner), form_of(owner, **{field: ""}), follow=True)

    owner.refresh_from_db()
    assert getattr(owner, field) is True
    assert LAST in page.content.decode()
    assert AuditEvent.objects.filter(kind="account", outcome="refused", account="owner").exists()


def test_last_owner_cannot_be_deleted(owner: User) -> None:
    page = site_of(owner).post(url(owner, "delete"), {"post": "yes"}, follow=True)

    assert LAST in page.content.decode() and User.objects.filter(pk=owner.pk).exists()


def test_all_owners_cannot_be_deleted_at_once(owner: User) -> None:
    second = User.objects.create_superuser("second", password=PASSWORD)
    data = {"action": "delete_selected", "_selected_action": [owner.pk, second.pk], "post": "yes"}

    page = site_of(owner).post("/admin/auth/user/", data, follow=True)

    assert LAST in page.content.decode() and owners.owners().count() == 2


def test_password_of_the_last_owner_cannot_be_taken_away(owner: User) -> None:
    data = {"usable_password": "false", "unset-password": "1"}

    page = site_of(owner).post(url(owner, "password"), data, follow=True)

    owner.refresh_from_db()
    assert owner.has_usable_password() and LAST in page.content.decode()


def test_last_owner_stays_whatever_code_tries(owner: User) -> None:
    owner.is_active = False
    with pytest.raises(LastOwnerError, match=r"the last owner .+ cannot be removed"):
        owner.save()
    with pytest.raises(LastOwnerError), transaction.atomic():
        User.objects.get(pk=owner.pk).delete()
    with pytest.raises(LastOwnerError), transaction.atomic():
        User.objects.all().delete()

    assert owners.owners().count() == 1


def test_superuser_who_cannot_log_in_is_no_owner(owner: User) -> None:
    User.objects.create_superuser("robot", password=None)
    User.objects.create_superuser("gone", password=PASSWORD, is_active=False)

    with pytest.raises(LastOwnerError), transaction.atomic():
        owner.delete()


def test_owner_goes_when_there_is_another(owner: User) -> None:
    User.objects.create_superuser("second", password=PASSWORD)

    site_of(owner).post(url(owner, "delete"), {"post": "yes"})

    assert not User.objects.filter(pk=owner.pk).exists()


def test_login_of_the_last_owner_changes_its_row(owner: User) -> None:
    site_of(owner)

    owner.refresh_from_db()
    assert owner.last_login is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["delete", "change"])
def test_of_two_owners_who_go_at_once_one_stays(way: str) -> None:
    pair = [User.objects.create_superuser(f"owner{n}", password=PASSWORD) for n in range(2)]
    gate, statuses = threading.Barrier(2), []

    def leave(user: User) -> None:
        site = site_of(user)
        data = {"post": "yes"} if way == "delete" else form_of(user, is_active="")
        gate.wait()
        statuses.append(site.post(url(user, way), data).status_code)
        connection.close()

    threads = [threading.Thread(target=leave, args=(user,)) for user in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert owners.owners().count() == 1
    assert statuses == [302, 302]


# --- tokens ------------------------------------------------------------------------------------------


def tokens_after(client: Client, address: str, data: dict[str, str]) -> int:
    answer = client.post(address, data)
    assert answer.status_code == 302, answer.content.decode()
    return ApiToken.objects.count()


@pytest.mark.parametrize(("kept", "left"), [("", 0), ("on", 1)])
def test_tokens_end_with_ones_own_password_unless_kept(owner: User, kept: str, left: int) -> None:
    create_token(owner)
    data = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    data |= {"keep_tokens": kept} if kept else {}

    assert tokens_after(site_of(owner), "/admin/password_change/", data) == left


@pytest.mark.parametrize(("kept", "left"), [("", 0), ("on", 1)])
def test_tokens_end_with_a_password_that_an_admin_sets(owner: User, kept: str, left: int) -> None:
    bob = User.objects.create_user("bob", password=PASSWORD)
    create_token(bob)
    data = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    data |= {"keep_tokens": kept} if kept else {}

    assert tokens_after(site_of(owner), url(bob, "password"), data) == left


def test_tokens_end_when_the_password_is_taken_away(owner: User) -> None:
    bob = User.objects.create_user("bob", password=PASSWORD)
    create_token(bob)

    assert (
        tokens_after(
            site_of(owner), url(bob, "password"), {"usable_password": "false", "unset-password": "1"}
        )
        == 0
    )


@pytest.mark.parametrize(("options", "left"), [([], 0), (["--keep-tokens"], 1)])
def test_tokens_end_with_the_command_unless_kept(
    owner: User, monkeypatch: pytest.MonkeyPatch, options: list[str], left: int
) -> None:
    create_token(owner)
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)

    call_command("changepassword", "owner", *options, stdout=StringIO())

    owner.refresh_from_db()
    assert owner.check_password(NEW) and ApiToken.objects.count() == left


def test_boxes_are_on_both_forms(owner: User) -> None:
    site = site_of(owner)

    for address in ("/admin/password_change/", url(owner, "password")):
        page = site.get(address).content.decode()
        assert "Keep the API tokens" in page and 'name="keep_tokens"' in page


def test_hash_that_is_only_made_anew_ends_nothing(owner: User, settings: Any) -> None:
    create_token(owner)
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]

    assert owner.check_password(PASSWORD)

    owner.refresh_from_db()
    assert owner.password.startswith("pbkdf2") and ApiToken.objects.count() == 1


def test_old_password_is_not_guessed_at_will(owner: User) -> None:
    site = site_of(owner)
    data = {"new_password1": NEW, "new_password2": NEW}

    codes = [
        site.post("/admin/password_change/", {**data, "old_password": f"wrong {n}"}).status_code
        for n in range(8)
    ]

    assert codes == [200] * 5 + [429] * 3


def test_token_ends_after_ninety_days_by_default(owner: User) -> None:
    create_token(owner)
    made = ApiToken.objects.get()

    assert timedelta(days=89, hours=23) < made.expires_at - made.created_at <= timedelta(days=90)
    page = site_of(owner).get("/admin/scheduler/apitoken/").content.decode()
    assert "Expires" in page


def test_new_token_says_when_it_ends(owner: User) -> None:
    page = site_of(owner).post("/admin/scheduler/apitoken/add/", {"name": "ci", "form_key": "x"})

    assert "It expires at " in page.content.decode()
    err = StringIO()
    call_command("create_token", "owner", stdout=StringIO(), stderr=err)
    assert "It expires at 20" in err.getvalue()


def test_bad_tokens_say_why(owner: User) -> None:
    ended = TokenClient(create_token(owner, expires_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)))
    bob = User.objects.create_user("bob")
    disabled = TokenClient(create_token(bob))
    bob.is_active = False
    bob.save()

    answers = [client.get("tasks") for client in (ended, disabled, TokenClient("x"))]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert [answer.json()["detail"] for answer in answers] == [
        "The token expired at 2026-01-02 03:04:05 UTC; create a new one.",
        "The account of the token is disabled.",
        "The token is unknown.",
    ]


@pytest.mark.django_db(transaction=True)
def test_migration_gives_old_tokens_an_end() -> None:
    from django.db.migrations.executor import MigrationExecutor

    name = next(
        key
        for key in MigrationExecutor(connection).loader.graph.nodes
        if key[0] == "scheduler" and key[1].endswith("_access")
    )
    before = MigrationExecutor(connection).loader.graph.node_map[name].parents
    executor = MigrationExecutor(connection)
    executor.migrate([node.key for node in before if node.key[0] == "scheduler"])
    old = executor.loader.project_state([node.key for node in before]).apps
    user = old.get_model("auth", "User").objects.create(username="old")
    old.get_model("scheduler", "ApiToken").objects.create(user=user, digest="d", expires_at=None)

    MigrationExecutor(connection).migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())

    left = ApiToken.objects.get(digest="d").expires_at - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)


def test_sessions_of_the_account_end_with_its_password_and_when_it_is_disabled(owner: User) -> None:
    make_roles()
    bob = User.objects.create_user("bob", password=PASSWORD, is_staff=True)
    first = site_of(bob)
    bob.set_password(NEW)
    bob.save()
    assert first.get("/admin/").status_code == 302
    second = site_of(bob)
    assert second.get("/admin/").status_code == 200

    bob.is_active = False
    bob.save()

    assert not AccountSession.objects.filter(user=bob).exists()
    bob.is_active = True
    bob.save()
    assert second.get("/admin/").status_code == 302
