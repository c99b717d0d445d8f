"""Values that have broken readers of requests, by the place they are put in."""

from __future__ import annotations

#: Keys that no row has, and texts that are no keys. They are quoted before they are sent.
KEYS = (
    "abc", "0", "-1", "987654321", "2147483648", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "9" * 30, "9" * 5000, "1e3", "1.5", "1_0", "0x10", " 7", "７７", "٣", "None", "null",
    "true", "NaN", "\0", "7\0", "a\0b", "ü", "💥", "_5F", "_00", "..", "../../etc/passwd", "%", "%00", "' OR 1=1 --",
    "<script>", "{}", "[]", "a" * 3000, "\n", "\r\nX: y", "history", "add", "1/2/3", "\ud800", "\ufffe", "-", "+",
)  # fmt: skip

#: Texts for parameters, form fields and JSON.
TEXTS = (
    *KEYS, "", " ", "\t", "x" * 70_000, "a,b,,c", "[1", '{"a":', "{{task_id}}", "{% now %}", "*/0 * * * *", "* * * * *",
    "0 0 30 2 *", "@daily", "Mars/Olympus", "2026-13-45T99:99:99Z", "0000-00-00", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "2026-06-01T12:00:00", "2026-06-01", "1000000000000000000000", "1e400", "-0", "inf",
    "success", "timeout", "task", "all", "tag", "true", "false", "on", "webhook", "email", "apprise", "//evil.example",
    "http://127.0.0.1:1/", "http://169.254.169.254/", "javascript:alert(1)", "a@b", "\u202e", "\x1b[31m", "é" * 300,
    "\\", "\\000", '"', "'", ";", "&", "=", "a" * 255, "id", "pk", "user__password", "-id", "0.1.2", "1.-2",
)  # fmt: skip

LOOKUPS = (
    "exact", "iexact", "contains", "icontains", "in", "gt", "gte", "lt", "lte", "startswith", "range", "date", "year",
    "iso_year", "month", "day", "week", "week_day", "quarter", "time", "hour", "minute", "second", "isnull", "regex",
    "iregex", "pk", "id__in", "password", "nonsense", "year__gt", "date__year", "has_key", "0", "",
)  # fmt: skip

#: Parameters that the admin, the theme and django-htmx read, beside those found in the sources.
OF_THE_ADMIN = (
    "_to_field", "_popup", "o", "p", "all", "e", "q", "_facets", "_changelist_filters", "_source_model", "page",
    "app_label", "model_name", "field_name", "term", "next", "language", "format", "version", "lang", "extended",
    "_encoding", "exclude", "s", "username", "password", "_method", "jsonp", "callback", "id", "pk",
)  # fmt: skip

COOKIES = (
    'sessionid="\\000"', 'sessionid="a\\000b"', "sessionid=" + "a" * 4000, "sessionid=%00", "sessionid=\xff\xfe",
    'csrftoken="\\000"', "csrftoken=x", "csrftoken=" + "é" * 32, 'django_language="\\000"', "django_language=../../etc",
    "django_language=" + "x" * 3000, 'messages="\\000"', "messages=W10:x:y", "messages=%00", 'a="\\777\\400"; b', "=",
    ";;;", '"', "a=b=c; =d; e", "a" * 5000, "sessionid=; sessionid=x", "$Version=1; x", "__Host-a=\\", "\xe4\xff=1",
    'sessionid="\\012\\015"', "django_language=zh-hans",
)  # fmt: skip

CONTENT_TYPES = (
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=latin-1",
    "application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded; charset=base64",
    "application/x-www-form-urlencoded; charset=", "application/x-www-form-urlencoded; charset=UTF8",
    "application/x-www-form-urlencoded; charset=\xff", "application/x-www-form-urlencoded; charset=" + "x" * 2000,
    "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=b; charset=rot13", "multipart/form-data; boundary=" + "b" * 3000,
    "multipart/form-data; boundary=\xff", "multipart/mixed; boundary=b", "application/json",
    "application/json; charset=latin-1", "application/json; charset=utf-16", "application/json; charset=idna",
    "application/json; charset=hex; q=\"", "application/problem+json", "text/plain", "text/plain; charset=base64",
    "text/plain; charset=undefined", "application/xml", "application/octet-stream", "", "/", "a/b/c", ";", "*/*",
    "text/html; charset=unicode_escape", "application/x-www-form-urlencoded; charset=a\\0b", "x" * 3000,
)  # fmt: skip

#: Names of headers are as WSGI has them.
HEADERS = (
    ("HTTP_X_FORWARDED_FOR", "1.2.3.4, ::1"), ("HTTP_X_FORWARDED_FOR", "\xff, ,,"), ("HTTP_X_FORWARDED_FOR", "9" * 5000),
    ("HTTP_X_FORWARDED_PROTO", "https"), ("HTTP_X_FORWARDED_PROTO", "javascript"), ("HTTP_X_FORWARDED_HOST", "evil.example"),
    ("HTTP_X_FORWARDED_PORT", "abc"), ("HTTP_X_FORWARDED_PREFIX", "/public"), ("HTTP_X_SCRIPT_NAME", "/x"),
    ("HTTP_SCRIPT_NAME", "/public"), ("HTTP_PATH_INFO", "/admin/"), ("HTTP_REMOTE_USER", "admin"),
    ("HTTP_FORWARDED", "for=\"[::1]\";proto=https;host=evil.example"), ("HTTP_X_REAL_IP", "127.0.0.1"),
    ("HTTP_X_HTTP_METHOD_OVERRIDE", "DELETE"), ("HTTP_X_ORIGINAL_URL", "/admin/"), ("HTTP_HOST", "evil.example"),
    ("HTTP_HOST", "\xff"), ("HTTP_HOST", "localhost:99999999"), ("HTTP_HOST", ""), ("HTTP_HOST", "localhost\\@x"),
    ("HTTP_ACCEPT", "application/xml"), ("HTTP_ACCEPT", "text/html;q=abc"), ("HTTP_ACCEPT", "*/*;;;"),
    ("HTTP_ACCEPT", "application/json;" + "a=b;" * 500), ("HTTP_ACCEPT", "text/plain"), ("HTTP_ACCEPT", "\xff/\xff"),
    ("HTTP_ACCEPT", "text/html"), ("HTTP_ACCEPT", "application/vnd.oai.openapi; version=\0"), ("HTTP_ACCEPT", "image/*"),
    ("HTTP_ACCEPT_LANGUAGE", "zh-hans"), ("HTTP_ACCEPT_LANGUAGE", "*;q=2, x-\xff, " + "a-" * 400),
    ("HTTP_ACCEPT_LANGUAGE", "\\0"), ("HTTP_ACCEPT_ENCODING", "gzip;q=x, br, *;q=0"), ("HTTP_RANGE", "bytes=5-1,-0,9-"),
    ("HTTP_IF_MODIFIED_SINCE", "Mon, 99 Foo 99999 99:99:99 GMT"), ("HTTP_IF_NONE_MATCH", '"x", W/"', ), ("HTTP_IF_MATCH", "*"),
    ("HTTP_IF_UNMODIFIED_SINCE", "0"), ("HTTP_AUTHORIZATION", "Bearer"), ("HTTP_AUTHORIZATION", "Bearer \xff\xfe"),
    ("HTTP_AUTHORIZATION", "Bearer a b"), ("HTTP_AUTHORIZATION", "Basic !!!"), ("HTTP_AUTHORIZATION", "Bearer " + "x" * 9000),
    ("HTTP_AUTHORIZATION", "Digest username=\"\0\""), ("HTTP_REFERER", "http://[::1"), ("HTTP_REFERER", "//evil.example/\xff"),
    ("HTTP_REFERER", "http://localhost/admin/\0"), ("HTTP_REFERER", "javascript:1"), ("HTTP_ORIGIN", "null"),
    ("HTTP_ORIGIN", "http://[bad"), ("HTTP_ORIGIN", "https://localhost"), ("HTTP_X_CSRFTOKEN", "\0"),
    ("HTTP_X_CSRFTOKEN", "x"), ("HTTP_X_REQUESTED_WITH", "XMLHttpRequest"), ("HTTP_HX_REQUEST", "true"),
    ("HTTP_HX_CURRENT_URL", "http://[::1"), ("HTTP_HX_CURRENT_URL", "http://localhost/admin/%00?\xff"),
    ("HTTP_HX_CURRENT_URL_URI_AUTOENCODED", "true"), ("HTTP_HX_TARGET", "\xff"), ("HTTP_HX_TRIGGERING_EVENT", "{bad"),
    ("HTTP_HX_TRIGGERING_EVENT", "[" * 3000), ("HTTP_HX_TRIGGER_NAME", "%00"), ("HTTP_HX_PROMPT", "\xff"),
    ("HTTP_TRANSFER_ENCODING", "chunked"), ("HTTP_CONTENT_ENCODING", "gzip"), ("HTTP_EXPECT", "100-continue"),
    ("HTTP_USER_AGENT", "\xff" * 3000), ("HTTP_UPGRADE", "websocket"), ("HTTP_X_UNKNOWN", "x" * 20_000),
    ("CONTENT_LENGTH", "abc"), ("CONTENT_LENGTH", "-5"), ("CONTENT_LENGTH", "3"), ("CONTENT_LENGTH", "100000"),
    ("CONTENT_LENGTH", "99999999999999999999"), ("CONTENT_LENGTH", ""), ("REMOTE_ADDR", ""), ("REMOTE_ADDR", "unix:"),
)  # fmt: skip

METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "X" * 300,
)

JSON_BODIES = (
    b"", b"{}", b"[]", b"null", b"true", b"0", b'""', b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"a":' * 5_000,
    b'{"a":1,"a":2}', b"NaN", b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":"\\ud800"}', b'{"a":"\\u0000"}',
    b'{"task_id":"\\u0000"}', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"{", b"{'a':1}", b"\0", b'{"enabled":1}',
    b'{"enabled":"x"}', b'{"enabled":[]}', b'{"downstream":null}', b'{"expression":null}', b'{"expression":"\\u0001"}',
    b'{"expression":"* * * * *","timezone":"\\u0000"}', b'{"expression":"* * * * *","timezone":"../../etc/passwd"}',
    b'{"days":1e5}', b'{"days":-1}', b'{"days":true}', b'{"scope":"task"}', b'{"scope":[]}', b'{"scope":{},"tag":[]}',
    b'{"task_id":7}', b'{"task_id":"a","task_name":"a","task_exec":"true","task_env":{"":"x"}}',
    b'{"task_id":"n1","task_name":"n","task_exec":"true","task_env":{"A":7},"task_tags":"x","task_retry":1e99}',
    b'{"task_id":"n2","task_name":"n","task_exec":"true","task_timeout":1e308,"task_priority":9223372036854775808}',
    b'{"task_id":"n3","task_name":"n","task_exec":"true","task_schedule":"* * * * *","task_dependencies":["n3"]}',
    b'{"task_id":"n4","task_name":"n","task_exec":"true","task_notify":[{"channels":[{"type":"webhook","url":7}]}]}',
    b'{"task_id":"n5","task_name":"n","task_exec":"true","task_notify":[[[[[]]]]],"task_deadline":"25:99"}',
    b'{"task_id":"n6","task_name":"n","task_exec":"true"}', b'{"task_id":"n7","task_name":"n","task_exec":"\\u0000"}',
    b'{"task_enabled":"maybe","task_misfire_grace":-1,"task_history_days":99999999999999999999}',
    b'{"task_dependencies":[' + b'"x",' * 20_000 + b'"y"]}', b'{"task_notify":[' + b"{}," * 20_000 + b"{}]}",
    b'{"task_notify":[{"channels":[' + b"{}," * 20_000 + b"{}]}]}", b'{"task_tags":[' + b'"t",' * 20_000 + b'"u"]}',
    b'{"task_env":' + b"[" * 80 + b"]" * 80 + b"}", b'{"' + b"k" * 100_000 + b'":1}', b" " * 100_000,
    b'{"scope":"all","name":"r","triggers":["success"],"channels":[' + b'{"type":"x"},' * 20_000 + b'{}]}',
    b'{"scope":"all","name":"r","triggers":["success"],"channels":[{"type":"email","recipients":["a@example.org"]}]}',
    b'{"scope":"tag","tag":"\\u0000","name":"r","triggers":["success"],"channels":[]}',
    b'{"threshold":1e400,"cooldown":-1}', b'{"name":null,"channels":null,"triggers":null}',
)  # fmt: skip

FORM_BODIES = (
    b"", b"&", b"=", b"a", b"%", b"%00=1", b"a=%00", b"\xff\xfe", b"a=%ff", b"a=%ED%A0%80", b"&" * 30_000, b"a=1&" * 26_000,
    b"csrfmiddlewaretoken=%00", b"action=delete_selected&_selected_action=abc", b"action=&_selected_action=abc&index=x",
    b"action=delete_selected&_selected_action=9223372036854775808&index=0", b"action=delete_selected&_selected_action=%00",
    b"action=delete_selected&select_across=1&index=0&_selected_action=", b"action=nonsense&_selected_action=abc&index=0",
    b"action=delete_selected&_selected_action=abc&post=yes&index=0", b"action=run_now&_selected_action=" + b"9" * 5000,
    b"_popup=1&_to_field=abc", b"_to_field=%00", b"next=//evil.example&language=zh-hans", b"next=%00&language=%00",
    b"next=http://[::1&language=en", b"username=%00&password=%00", b"username=a&password=b", b"language=" + b"x" * 3000,
    b"form_is=x&form_of=abc&form_key=%00", b"plan=x&form_key=" + b"k" * 5000, b"index=99999999999999999999&action=x",
    b"form-TOTAL_FORMS=abc&form-INITIAL_FORMS=-1", b"form-TOTAL_FORMS=99999999&_save=1", b"id=abc&_save=",
)  # fmt: skip

MULTIPART_BODIES = (
    b"", b"--b--", b"--b\r\n\r\n\r\n--b--\r\n", b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\0\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"\0\"\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name*=rot13''abc\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=base64''%00\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\0.json\"\r\n\r\n{}\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../a\"\r\nContent-Type: x;charset=hex\r\n\r\n[\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b", b"--b\r\n" + b"X: y\r\n" * 3000 + b"\r\n\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"" + b"n" * 100_000 + b"\"\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n" * 2000 + b"--b--\r\n", b"\xff" * 5000,
    b"--b\r\nContent-Disposition: form-data; name=\"_selected_action\"\r\n\r\nabc\r\n--b--\r\n",
)  # fmt: skip
