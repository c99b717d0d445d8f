"""The bugs: what is taken away, where, and which tests are to fail for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A change of one text of one file.

    Attributes:
        tests: arguments of pytest; as few as notice it, so that a bug takes seconds.
        database: a kind of database without which the change is none: SQLite locks no rows.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    database: str = ""


SECRETS = "tests/acceptance/test_secrets.py"
JOINS = "tests/faults/test_joins.py"
API = "tests/integration/test_api.py"
CHANNEL_WEBHOOK = "tests/integration/test_channel_webhook.py"
EVERY_ROUTE = "tests/integration/test_every_route.py"
METRICS_ACCESS = "tests/integration/test_metrics_access.py"
LOGIN_LIMITS = "tests/integration/test_login_limits.py"
NOTIFY_OUTBOX = "tests/integration/test_notify_outbox.py"
NOTIFY_SENDING = "tests/integration/test_notify_sending.py"
PRODUCTION = "tests/integration/test_production.py"
RACES = "tests/integration/test_races.py"
REFUSED_REQUESTS = "tests/integration/test_refused_requests.py"
RIGHTS = "tests/integration/test_rights.py"
SECRETS_OF_CHANNELS = "tests/integration/test_secrets_of_channels.py"
SERVER_ERRORS = "tests/integration/test_server_errors.py"
SESSIONS = "tests/integration/test_sessions.py"
SITE_PAGES = "tests/integration/test_site_pages.py"
TOTALS = "tests/integration/test_totals.py"
WEB_SERVER = "tests/integration/test_web_server.py"
CHANGED_DAYS = "tests/integration/test_changed_days.py"
CONFIG_SIZES = "tests/unit/test_config_sizes.py"
ENGINE_SCHEDULES = "tests/unit/test_engine_schedules.py"
ENGINE_LIMITS = "tests/unit/test_engine_limits.py"
FORWARDED = "tests/unit/test_forwarded.py"
KEPT_SECRETS = "tests/unit/test_kept_secrets.py"
MASKING = "tests/unit/test_masking.py"
NOTIFY_ADDRESSES = "tests/unit/test_notify_addresses.py"
CHECKS_OF_PRODUCTION = "tests/unit/test_production.py"
RUNNER = "tests/unit/test_runner.py"
RUNNER_OUTPUT = "tests/unit/test_runner_output.py"
SECRET_VALUES = "tests/unit/test_secret_values.py"
ZONE_DATA = "tests/unit/test_zone_data.py"

BUGS = (
    # who may do what
    Bug("roles of the API are not asked", "scheduler/api/permissions.py", "needed is not None and request.user.has_perm(needed)", "needed is not None", f"{API}::test_each_write_needs_its_role"),
    Bug("viewers delete tasks by the API", "scheduler/api/task_views.py", '"destroy": "scheduler.delete_task"', '"destroy": VIEW_TASK', f"{API}::test_each_write_needs_its_role"),
    Bug("viewers run and pause", "scheduler/admin/tasks.py", 'bool(request.user.has_perm("scheduler.run_task"))', "True", f"{EVERY_ROUTE}::test_an_account_without_a_role_sees_and_does_nothing"),
    Bug("a page without the login", "scheduler/admin/tasks.py", "site(overview_part)", "overview_part", f"{EVERY_ROUTE}::test_nobody_sees_or_does_anything_without_a_login"),
    Bug("a page without its permission", "scheduler/views/system.py", 'require(request, "view_process")', "pass", f"{EVERY_ROUTE}::test_an_account_without_a_role_sees_and_does_nothing"),
    Bug("metrics for accounts without a role", "scheduler/api/metrics/view.py", " and request.user.has_perms([VIEW_TASK, VIEW_EXECUTION])", "", f"{METRICS_ACCESS}::test_from_elsewhere_nobody_reads_it_without_a_token"),
    Bug("metrics for whoever a proxy on the host forwards", "schedsite/forwarded.py", "was_forwarded(request) or address is None", "address is None", f"{METRICS_ACCESS}::test_what_a_proxy_on_this_host_forwards_is_not_from_this_host"),
    Bug("metrics for whoever names the host of the site", "schedsite/forwarded.py", "is_loopback and validate_host(split_domain_port(request.get_host())[0], LOOPBACK_HOSTS)", "is_loopback", f"{METRICS_ACCESS}::test_a_proxy_without_headers_is_known_by_the_host_that_it_passes_on_or_its_protocol"),
    Bug("ended executions are counted again and again", "scheduler/services/totals.py", "EndedExecution.objects.filter(pk__in=[pk for pk, _, _ in ended]).delete()", "pass", f"{TOTALS}::test_counting_twice_counts_once"),
    Bug("the description of the API for everybody", "schedsite/urls.py", "SpectacularAPIView.as_view(permission_classes=[IsAuthenticated])", "SpectacularAPIView.as_view(permission_classes=[])", f"{EVERY_ROUTE}::test_nobody_sees_or_does_anything_without_a_login"),
    Bug("a form that other sites can send", "scheduler/admin/tasks.py", "site(require_POST(self.pause))", 'site(__import__("django.views.decorators.csrf", fromlist=["*"]).csrf_exempt(require_POST(self.pause)))', f"{EVERY_ROUTE}::test_no_form_is_taken_from_another_site"),
    Bug("admins manage owners", "scheduler/services/grants.py", "    if target.is_superuser:\n        return False\n", "    if target.is_superuser:\n        return True\n", f"{RIGHTS}::test_admin_cannot_change_delete_or_reset_a_superuser"),
    Bug("admins give roles they do not have", "scheduler/services/grants.py", "return Group.objects.exclude(permissions__in=beyond)", "return Group.objects.all()", f"{RIGHTS}::test_admin_cannot_give_permissions_or_roles_that_it_lacks"),
    Bug("the last owner is demoted", "scheduler/services/owners.py", "if lock_owners() == {user.pk}:", "if False:", f"{RIGHTS}::test_last_owner_cannot_be_disabled_or_stripped_by_the_form"),
    Bug("the last owner is deleted", "scheduler/services/owners.py", "if is_owner(user) and not owners().exists():", "if False:", f"{RIGHTS}::test_last_owner_cannot_be_deleted"),
    Bug("history tells which rows there are", "scheduler/admin/base.py", "        if not self.has_view_or_change_permission(request):\n            raise PermissionDenied\n        return super().history_view", "        return super().history_view", f"{REFUSED_REQUESTS}::test_history_of_rows_that_one_may_not_see_is_forbidden_whether_they_are_there_or_not"),
    # tokens, logins, sessions
    Bug("tokens of disabled accounts", "scheduler/services/tokens.py", "if not token.user.is_active:", "if False:", f"{API}::test_an_expired_an_unknown_and_a_retired_token_are_refused"),
    Bug("tokens that have expired", "scheduler/services/tokens.py", "if token.expires_at <= now:", "if False:", f"{RIGHTS}::test_bad_tokens_say_why"),
    Bug("tokens are stored as they are", "scheduler/services/tokens.py", "return hashlib.sha256(token).hexdigest()", 'return token.decode("latin-1")[:64]', f"{API}::test_a_token_is_stored_as_a_digest_and_its_use_is_noted_once_a_minute"),
    Bug("tokens live for a century", "scheduler/services/tokens.py", "timedelta(days=settings.SCHEDULER_TOKEN_DAYS)", "timedelta(days=36_500)", f"{RIGHTS}::test_token_ends_after_ninety_days_by_default"),
    Bug("bad tokens are not counted", "scheduler/services/tokens.py", "        limits.take([sender], now=now)\n", "        pass\n", f"{LOGIN_LIMITS}::test_bad_tokens_are_refused_and_a_good_one_of_the_same_address_is_not"),
    Bug("a thousand free guesses", "scheduler/engine/limits.py", "math.ceil(count) - self.free", "math.ceil(count) - 1000 * self.free", ENGINE_LIMITS),
    Bug("waits are not obeyed", "scheduler/services/limits.py", "if until and max(until) > now:", "if False:", f"{LOGIN_LIMITS}::test_thirty_wrong_passwords_are_not_all_looked_at"),
    Bug("an attacker locks the owner out", "scheduler/services/sign_in.py", "is_obeyed=limits.is_counted(own)", "is_obeyed=True", f"{LOGIN_LIMITS}::test_owner_gets_in_from_home_while_others_hammer_the_account"),
    Bug("a browser of another account is known", "scheduler/services/sign_in.py", 'return str(device) if owner == account else ""', "return str(device)", f"{LOGIN_LIMITS}::test_browser_of_one_account_is_not_known_for_another"),
    Bug("right passwords count as wrong ones", "scheduler/services/sign_in.py", "    limits.give_back(attempt.taken)\n", "", f"{LOGIN_LIMITS}::test_an_own_account_does_not_reset_the_count_of_an_address"),
    Bug("sessions of disabled accounts", "scheduler/services/receivers.py", "if not created and not instance.is_active:", "if False:", f"{RIGHTS}::test_sessions_of_the_account_end_with_its_password_and_when_it_is_disabled"),
    Bug("sessions idle for ever", "scheduler/models/session_store.py", "timedelta(hours=settings.SCHEDULER_SESSION_IDLE_HOURS)", "timedelta(days=3650)", f"{SESSIONS}::test_session_nobody_uses_is_over"),
    # secrets
    Bug("the key of a webhook is shown", "scheduler/config_file/secret_fields.py", "return MASK if value else value", "return value", f"{SECRETS_OF_CHANNELS}::test_who_sees_what_is_one_rule_for_every_page_path_and_export"),
    Bug("headers are shown", "scheduler/config_file/secret_fields.py", "return dict.fromkeys(value, MASK)", "return value", f"{SECRETS_OF_CHANNELS}::test_who_sees_what_is_one_rule_for_every_page_path_and_export"),
    Bug("addresses of services are shown", "scheduler/config_file/url_masking.py", 'return f"{url.partition(\'://\')[0]}://{MASK}"', "return url", f"{SECRETS_OF_CHANNELS}::test_who_sees_what_is_one_rule_for_every_page_path_and_export"),
    Bug("viewers see the environment", "scheduler/config_file/masking.py", '        shown["task_env"] = dict.fromkeys(shown["task_env"], MASK)\n', "        pass\n", f"{API}::test_the_environment_is_masked_for_those_who_may_not_change_it"),
    Bug("a secret follows its rule to another host", "scheduler/config_file/kept_secrets.py", 'target_of_url(self.address)', 'target_of_url("https://example.org/")', KEPT_SECRETS),
    Bug("anybody reads the database", "schedsite/database.py", "path.chmod(PRIVATE)", "pass", f"{PRODUCTION}::test_files_of_an_earlier_version_are_made_private"),
    Bug("anybody reads the spool", "scheduler/runner/spool.py", "root.chmod(0o700)", "pass", f"{RUNNER}::test_spool_is_private_and_keeps_its_identity"),
    Bug("answers are kept by proxies", "schedsite/middleware/no_store.py", "patch_cache_control(response, no_store=True)", "pass", f"{SERVER_ERRORS}::test_no_answer_is_kept"),
    # targets of messages
    Bug("the metadata of a cloud is a target", "notifications/transport/targets.py", '        ("169.254.0.0/16", Code.LINK_LOCAL),\n', "", NOTIFY_ADDRESSES),
    Bug("this machine is a target", "notifications/transport/targets.py", '        ("127.0.0.0/8", Code.LOOPBACK),\n', "", NOTIFY_ADDRESSES),
    Bug("names of metadata services are targets", "notifications/transport/targets.py", 'name in _FORBIDDEN_NAMES or name.endswith(".localhost")', 'name.endswith(".localhost")', NOTIFY_ADDRESSES),
    Bug("only the first address of a host is judged", "notifications/transport/connections.py", "    for text in found:\n", "    for text in found[:1]:\n", f"{NOTIFY_ADDRESSES}::test_name_is_refused_when_any_of_its_addresses_is_forbidden"),
    Bug("answers are read without end", "notifications/transport/http.py", "ANSWER_LIMIT = 64 * 1024\n", "ANSWER_LIMIT = 64 * 1024 * 1024\n", f"{CHANNEL_WEBHOOK}::test_answer_of_a_gigabyte_is_left_after_64_kilobytes"),
    # what a request may say
    Bug("inline scripts run", "schedsite/middleware/csp.py", '"\'self\' \'unsafe-eval\'"', '"\'self\' \'unsafe-eval\' \'unsafe-inline\'"', f"{SITE_PAGES}::test_every_answer_carries_the_policy"),
    Bug("pages in frames of others", "schedsite/middleware/csp.py", '"frame-ancestors": "\'none\'"', '"frame-ancestors": "*"', f"{SITE_PAGES}::test_every_answer_carries_the_policy"),
    Bug("everybody is a proxy", "schedsite/forwarded.py", "trusted = settings.TRUST_PROXY_HEADERS if is_within(peer, settings.TRUSTED_PROXIES) else ()", "trusted = settings.TRUST_PROXY_HEADERS", FORWARDED),
    Bug("the first address of X-Forwarded-For is believed", "schedsite/forwarded.py", "plain_address(entries.pop())", "plain_address(entries.pop(0))", FORWARDED),
    Bug("a header names the script", "schedsite/forwarded.py", '    "X-Script-Name",\n', "", FORWARDED),
    Bug("NUL characters pass", "schedsite/middleware/sound_requests.py", 'if "\\0" in text:', "if False:", f"{REFUSED_REQUESTS}::test_nul_character_is_refused_wherever_it_is"),
    Bug("keys that are none pass", "schedsite/middleware/sound_requests.py", "            raise Http404\n", "            pass\n", f"{REFUSED_REQUESTS}::test_key_that_no_row_can_have_is_not_found"),
    Bug("other encodings pass", "schedsite/middleware/sound_requests.py", "request_class = SoundRequest", "request_class = WSGIRequest", f"{REFUSED_REQUESTS}::test_other_encoding_than_utf_8_is_refused"),
    Bug("impossible filters are errors", "scheduler/admin/base.py", "except (ValueError, TypeError, OverflowError, DataError, ProgrammingError, ValidationError) as error:\n            raise Incorrect", "except DataError as error:\n            raise Incorrect", f"{REFUSED_REQUESTS}::test_filter_with_an_impossible_value_leads_to_the_whole_list"),
    Bug("pages of half a million", "scheduler/api/pagination.py", "50, 500\n", "50, 500_000\n", f"{API}::test_an_unsound_parameter_is_refused_by_name"),
    Bug("unknown parameters pass", "scheduler/api/base.py", "            allow_only(request, takes)\n", "            pass\n", f"{API}::test_an_unknown_parameter_is_answered_with_the_known_ones"),
    # what is refused in production
    Bug("Redis without a password", "schedsite/production.py", "if parts.scheme not in", "if True or parts.scheme not in", CHECKS_OF_PRODUCTION),
    Bug("secrets of samples", "schedsite/production.py", "if any(word in small for word in KNOWN_WORDS):", "if False:", CHECKS_OF_PRODUCTION),
    # what a command prints
    Bug("secrets are printed as they are", "scheduler/runner/output.py", "masked = self._secrets.without(data, covered)", "masked = data[: covered.length]", f"{RUNNER_OUTPUT}::test_secrets_are_masked_in_text_and_in_the_bytes_as_they_were_written"),
    Bug("secrets that arrive in two parts", "scheduler/runner/masking.py", "length = len(data) if is_last else max(len(data) - begun, 0)", "length = len(data)", f"{RUNNER_OUTPUT}::test_a_secret_that_arrives_in_parts_is_masked_and_the_offsets_are_those_of_the_true_stream"),
    Bug("half a secret beside what is left out", "scheduler/runner/output.py", 'self._before, self._is_torn = b"", True', 'self._before, self._is_torn = b"", False', f"{RUNNER_OUTPUT}::test_no_part_of_a_secret_is_left_where_the_middle_of_the_output_is_left_out"),
    Bug("secrets in base64 are printed", "scheduler/runner/masking.py", "    for before in range(3):\n", "    for before in range(1):\n", f"{MASKING}::test_base64_is_masked_wherever_the_secret_begins_in_what_was_encoded"),
    Bug("secrets are printed percent-encoded", "scheduler/runner/masking.py", "{*_percent_encoded(text), *_escaped(text),", "{*_escaped(text),", MASKING),
    Bug("passwords in addresses are no secrets", "scheduler/config_file/secret_values.py", "        found |= set(passwords(value))\n", "        pass\n", f"{SECRET_VALUES}::test_values_are_secrets_by_their_names_and_passwords_by_their_urls"),
    Bug("secrets too short to be masked are taken", "scheduler/config_file/validation.py", '    yield from find_short_secrets(task.get("task_env", {}))\n', "", f"{SECRET_VALUES}::test_a_secret_that_is_too_short_to_be_masked_is_refused_when_it_is_saved"),
    Bug("a worker that takes over masks nothing", "scheduler/processes/supervisor.py", "secrets = log_secrets(found.claimed, None)", 'secrets = __import__("scheduler.runner", fromlist=["*"]).secrets_of((), "utf-8")', SECRETS),
    Bug("what receivers repeat is shown", "notifications/services/attempts.py", "said=as_reason(result.said).mapped(masked)", "said=result.said", f"{NOTIFY_SENDING}::test_what_receivers_repeat_of_a_secret_is_masked"),
    # slow and large requests
    Bug("half bodies wait for ever", "schedsite/web/application.py", "message = await asyncio.wait_for(receive(), max(ends_at - clock(), 0))", "message = await receive()", f"{WEB_SERVER}::test_a_client_is_told_that_its_body_came_too_slowly"),
    Bug("each byte of a body puts its end off", "schedsite/web/application.py", "ends_at = first_end + size / limits.body_rate", "ends_at = clock() + limits.read_s", f"{WEB_SERVER}::test_a_client_that_dribbles_is_ended"),
    Bug("half heads wait for ever", "schedsite/web/connections.py", "self._timer = self.loop.call_later(seconds, self.transport.abort)", "self._timer = self.loop.call_later(86_400, self.transport.abort)", f"{WEB_SERVER}::test_a_connection_that_keeps_others_waiting_is_ended"),
    Bug("bodies have no end", "schedsite/web/application.py", "        if size > limits.body_bytes:\n            raise too_large\n", "", f"{WEB_SERVER}::test_a_body_that_is_too_large_is_refused"),
    Bug("bodies that are announced too large are awaited", "schedsite/web/application.py", "    if declared > limits.body_bytes * READ_TO_REFUSE:\n        raise too_large\n", "", f"{WEB_SERVER}::test_bodies_that_are_announced_far_too_large_cost_nothing"),
    Bug("one address has all connections", "schedsite/web/connections.py", "if len(own) > self.limits.connections_of_address and not is_proxy(connection.address):", "if False:", f"{WEB_SERVER}::test_an_address_keeps_no_more_connections_than_it_may"),
    # sizes are checked before items
    Bug("long lists are looked at as a whole", "scheduler/config_file/sizes.py", "enumerate(islice(value, most))", "enumerate(value)", CONFIG_SIZES),
    Bug("long lists are cut and not told", "scheduler/config_file/sizes.py", '    if len(value) > most:\n        findings.append(explain_value(path, "maxItems", value, schema))\n', "", CONFIG_SIZES),
    Bug("large objects are looked at as a whole", "scheduler/config_file/sizes.py", "    if len(names) > most:\n", "    if False:\n", CONFIG_SIZES),
    Bug("nested lists are copied as a whole", "scheduler/config_file/sizes.py", "return _outline(value, [OUTLINE], len(path))", "return _outline(value, [10**9], len(path))", CONFIG_SIZES),
    Bug("millions of lists are read", "scheduler/config_file/source.py", "MAX_CONTAINERS = 250_000", "MAX_CONTAINERS = 250_000_000", f"{CONFIG_SIZES}::test_more_lists_and_objects_than_any_configuration_has_are_not_even_read"),
    Bug("forms with thousands of rules are read", "notifications/forms/drafts.py", "keys[:MOST_RULES]", "keys", f"{CONFIG_SIZES}::test_a_form_with_too_many_rules_channels_and_addresses_is_refused_alike"),
    # limits of messages and runs
    Bug("deliveries are resent by the API without a limit", "notifications/api/views.py", '    limits_by_action = {"resend": LimitScope.TEST}\n', "", f"{LOGIN_LIMITS}::test_resent_deliveries_and_tests_share_the_limit_of_their_account"),
    Bug("deliveries are resent by a page without a limit", "notifications/views/deliveries.py", "        count_request(LimitScope.TEST, account=account, origin=origin_of(request), now=now())\n", "", f"{LOGIN_LIMITS}::test_page_of_a_delivery_refuses_to_resend_too_often"),
    Bug("tests of rules have no limit", "notifications/api/views.py", '    limits_by_action = {"test": LimitScope.TEST}\n', "", f"{LOGIN_LIMITS}::test_test_messages_have_a_limit_of_their_account"),
    Bug("runs by API have no limit", "scheduler/api/task_views.py", '    limits_by_action = {"execute": Scope.RUN}\n', "", f"{LOGIN_LIMITS}::test_runs_by_api_have_a_limit_of_their_account"),
    Bug("refusals of limits are not audited", "scheduler/services/rates.py", "        audit.record_often(\n            AuditKind(scope.value), AuditOutcome.REFUSED, account=account, origin=origin, now=now\n        )\n", "", f"{LOGIN_LIMITS}::test_runs_by_api_have_a_limit_of_their_account"),
    # two processes at once
    Bug("guesses at once are counted once, without a transaction", "scheduler/services/limits.py", "    with transaction.atomic():\n        AttemptCount.objects.bulk_create", "    if things:\n        AttemptCount.objects.bulk_create", f"{RACES}::test_two_guesses_in_the_same_moment_are_both_counted"),
    Bug("guesses at once are counted once, without a lock", "scheduler/services/limits.py", "        rows = rows.select_for_update()\n", "        pass\n", f"{RACES}::test_two_guesses_in_the_same_moment_are_both_counted", "postgresql"),
    Bug("what is given back hides a guess", "scheduler/services/limits.py", "rows = AttemptCount.objects.select_for_update().filter(pk__in=taken.rows)", "rows = AttemptCount.objects.filter(pk__in=taken.rows)", f"{RACES}::test_a_guess_is_counted_while_a_right_password_is_given_back", "postgresql"),
    Bug("two owners go at once", "scheduler/services/owners.py", "owners().select_for_update().order_by", "owners().order_by", f"{RACES}::test_of_two_owners_who_are_disabled_in_the_same_moment_one_stays", "postgresql"),
    Bug("what is resent while it is sent is sent twice, without a transaction", "notifications/services/resending.py", '    with transaction.atomic():\n        fresh = Delivery.objects.select_for_update(of=("self",)).get', "    if delivery:\n        fresh = Delivery.objects.get", f"{RACES}::test_a_delivery_that_is_sent_while_somebody_resends_it_is_sent_once"),
    Bug("what is resent while it is sent is sent twice, without a lock", "notifications/services/resending.py", 'Delivery.objects.select_for_update(of=("self",)).get', "Delivery.objects.get", f"{RACES}::test_a_delivery_that_is_sent_while_somebody_resends_it_is_sent_once", "postgresql"),
    Bug("two workers run what may run alone", "scheduler/services/claims.py", "    if connection.features.has_select_for_update:", "    if False:", f"{RACES}::test_two_workers_do_not_take_more_of_a_task_than_may_run_at_once", "postgresql"),
    Bug("two workers take over one command", "scheduler/services/claims.py", '                .select_for_update(of=("self",))\n                .select_related("owner")', '                .select_related("owner")', f"{RACES}::test_of_two_workers_one_takes_over_what_a_dead_one_left", "postgresql"),
    Bug("two edits make a cycle together, without a transaction", "scheduler/services/tasks.py", "    with transaction.atomic():\n        lock_graph()\n        problems = find_problems([Definition(task, spec)])", "    if spec:\n        lock_graph()\n        problems = find_problems([Definition(task, spec)])", f"{JOINS}::test_two_edits_at_the_same_instant_make_no_cycle_together"),
    Bug("two edits make a cycle together, without a lock", "scheduler/services/locks.py", '            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [Space.GRAPH])', "            pass", f"{JOINS}::test_two_edits_at_the_same_instant_make_no_cycle_together", "postgresql"),
    Bug("workers at once send more than the limit of an hour", "scheduler/services/locks.py", '    if connection.vendor == "postgresql" and numbers:', "    if False:", f"{NOTIFY_OUTBOX}::test_workers_that_record_at_the_same_time_share_the_limit_and_count_every_message", "postgresql"),
    # when it runs
    Bug("a star anywhere in a day field joins by AND", "scheduler/engine/cron.py", 'return field.startswith(("*", "?"))', 'return "*" in field or field == "?"', f"{ENGINE_SCHEDULES}::test_day_fields_are_joined_by_and_when_one_begins_with_a_star"),
    Bug("readers accept changed days", "scheduler/admin/tasks.py", "if not self.has_change_permission(request):\n            raise PermissionDenied\n        rescheduling", "rescheduling", f"{CHANGED_DAYS}::test_confirmed_days_are_no_longer_named"),
    Bug("the older tables of time zones are used", "schedsite/zone_data.py", "_rank(tables.version), reverse=True)", "_rank(tables.version))", f"{ZONE_DATA}::test_the_newer_of_two_trees_is_used"),
)  # fmt: skip
