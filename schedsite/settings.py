"""Settings of Schedsite. Every value comes from the environment and has a default that works on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from schedsite import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("SCHEDULER_DATA_DIR", str(BASE_DIR / "var"))).resolve()
env.make_folder("SCHEDULER_DATA_DIR", DATA_DIR)

# --- the site -------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
SERVES_THIS_MACHINE_ONLY = set(ALLOWED_HOSTS) <= env.LOOPBACK_HOSTS
SECRET_KEY = env.secret_key(is_local=DEBUG or SERVES_THIS_MACHINE_ONLY, path=DATA_DIR / "secret_key")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PORT = env.integer("PORT", 8000, minimum=1, maximum=65535)
SITE_URL = env.url(
    "SITE_URL", f"http://localhost:{PORT}", schemes=("http", "https"), example="https://schedsite.example.org"
).rstrip("/")
IS_HTTPS = SITE_URL.startswith("https://")

ROOT_URLCONF = "schedsite.urls"
WSGI_APPLICATION = "schedsite.wsgi.application"
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "scheduler",
    "notifications",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "schedsite.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "schedsite.parts.LoggedOutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "schedsite.busy.BusyDatabaseMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "scheduler.views.shell.failing",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("TRUST_PROXY_HEADERS", False) else None
)
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 25_000  # the form of a task with as many rules and channels as there may be
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024  # a configuration of 5 MB, its own limit, must get through

# --- language and time ----------------------------------------------------------------------------

USE_TZ = True
USE_I18N = True
LANGUAGE_CODE = env.choice("LANGUAGE_CODE", "en", ("en", "zh-hans"))
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
FORMAT_MODULE_PATH = "schedsite.formats"
LOCALE_PATHS = [BASE_DIR / "schedsite" / "locale"]
SCHEDULER_TIME_ZONE = env.time_zone("SCHEDULER_TIME_ZONE", "UTC")
TIME_ZONE = SCHEDULER_TIME_ZONE

# --- database and queue ---------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
try:
    _database: dict[str, Any] = dict(environ.Env.db_url_config(DATABASE_URL))
except Exception:
    raise ImproperlyConfigured(
        "DATABASE_URL cannot be read; a URL such as sqlite:////data/db.sqlite3 or "
        "postgres://user:password@host:5432/name is needed"  # what was found may hold a password
    ) from None
if _database.get("ENGINE") not in {"django.db.backends.sqlite3", "django.db.backends.postgresql"}:
    raise ImproperlyConfigured(
        f"DATABASE_URL names {_database.get('ENGINE')!r}; SQLite and PostgreSQL are supported"
    )
if _database["ENGINE"].endswith("sqlite3") and _database["NAME"] in ("", ":memory:"):
    raise ImproperlyConfigured("DATABASE_URL names no file; processes could not share the database")
# A connection per process is kept; long loops close it when it broke.
_database.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
if _database["ENGINE"].endswith("sqlite3"):
    # Deferred transactions answer "database is locked" at once when two writers upgrade; see the system check.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
DATABASES = {"default": _database}

REDIS_URL = env.url("REDIS_URL", schemes=("redis", "rediss", "unix"), example="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    }
}

# --- the scheduler --------------------------------------------------------------------------------

SCHEDULER_TASKS_DIR = Path(env.text("SCHEDULER_TASKS_DIR", str(BASE_DIR / "tasks"))).resolve()
SCHEDULER_SPOOL_DIR = Path(env.text("SCHEDULER_SPOOL_DIR", str(DATA_DIR / "spool"))).resolve()
SCHEDULER_WORKERS = env.integer("SCHEDULER_WORKERS", 2, minimum=1, maximum=64)
SCHEDULER_SLOTS = env.integer("SCHEDULER_SLOTS", 64, minimum=1, maximum=1000)
SCHEDULER_QUEUE = env.queue("SCHEDULER_QUEUE", "default")
SCHEDULER_LOG_LIMIT = env.integer("SCHEDULER_LOG_LIMIT", 1024 * 1024, minimum=1024, maximum=64 * 1024 * 1024)
SCHEDULER_HISTORY_DAYS = env.integer("SCHEDULER_HISTORY_DAYS", 90, minimum=1, maximum=36_500)
SCHEDULER_HEARTBEAT = env.number("SCHEDULER_HEARTBEAT", 5, minimum=0.1, maximum=60)
SCHEDULER_LEASE = env.number("SCHEDULER_LEASE", 30, minimum=0.5, maximum=600)
SCHEDULER_SWEEP = env.number("SCHEDULER_SWEEP", 5, minimum=0.1, maximum=60)
SCHEDULER_GRACE = env.number("SCHEDULER_GRACE", 10, minimum=0, maximum=600)
SCHEDULER_NOTIFY_HOURLY_LIMIT = env.integer("SCHEDULER_NOTIFY_HOURLY_LIMIT", 60, minimum=1, maximum=100_000)
SCHEDULER_NOTIFY_ATTEMPTS = env.integer("SCHEDULER_NOTIFY_ATTEMPTS", 8, minimum=1, maximum=100)
SCHEDULER_NOTIFY_DEADLINE = env.number("SCHEDULER_NOTIFY_DEADLINE", 15, minimum=1, maximum=300)
SCHEDULER_NOTIFY_LANGUAGE = env.choice("SCHEDULER_NOTIFY_LANGUAGE", LANGUAGE_CODE, ("en", "zh-hans"))
SCHEDULER_HEARTBEAT_URL = env.web_address("SCHEDULER_HEARTBEAT_URL")
SCHEDULER_STOP = env.choice("SCHEDULER_STOP", "leave", ("leave", "wait"))
if SCHEDULER_LEASE < 3 * SCHEDULER_HEARTBEAT:
    raise ImproperlyConfigured(
        f"SCHEDULER_LEASE is {SCHEDULER_LEASE:g} and SCHEDULER_HEARTBEAT {SCHEDULER_HEARTBEAT:g}; "
        "the lease must be at least three heartbeats, or healthy workers are taken for dead"
    )

# --- notifications --------------------------------------------------------------------------------

EMAIL_BACKEND = "notifications.mail_backend.EmailBackend"
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", 25, minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.boolean("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT", 15, minimum=1, maximum=300)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.mail_sender("DEFAULT_FROM_EMAIL", "Schedsite <schedsite@localhost>")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise ImproperlyConfigured(
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both on; TLS begins after connecting (port 587), SSL with it (port 465)"
    )
SCHEDULER_WEBHOOK_ALLOW = env.targets("SCHEDULER_WEBHOOK_ALLOW")

# django-q2 carries wake-ups only. Each value below differs from a default that loses, repeats or hangs;
# the system check scheduler.E003 refuses others.
Q_CLUSTER: dict[str, Any] = {
    "name": "schedsite",  # also the salt of the signatures: one name for all clusters
    "cluster_name": SCHEDULER_QUEUE,
    "label": "Queue",
    "workers": SCHEDULER_WORKERS + 1,  # one is never occupied by executions; see scheduler.cluster.seat
    "queue_limit": SCHEDULER_WORKERS + 1,
    "bulk": 1,
    "poll": 0.05,
    "timeout": 600,
    "retry": 660,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "recycle": 1_000_000_000,
    "scheduler": False,
    "catch_up": False,
    "guard_cycle": 0.2,
    "log_level": "WARNING",
    "compress": False,
    "sync": False,
}
if _database["ENGINE"].endswith("sqlite3"):
    # Tests start real processes on their database, so it must be a file.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}

if REDIS_URL:
    Q_CLUSTER["redis"] = REDIS_URL
    Q_CLUSTER["broker_class"] = "scheduler.cluster.RedisWakeBroker"
else:
    Q_CLUSTER["orm"] = "default"
    Q_CLUSTER["broker_class"] = "scheduler.cluster.DatabaseWakeBroker"

# --- static files, API, logging -------------------------------------------------------------------

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # the apps' own folders are served; nothing to collect or build

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "scheduler.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["scheduler.api.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["scheduler.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "scheduler.api.problems.exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Schedsite",
    "DESCRIPTION": "Scripts on time, in order, with a history.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Deep links are links within buttons, which no screen reader tells apart.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False},
    "REDOC_DIST": "SIDECAR",
}


def _link(title: Any, icon: str, name: str, permission: str = "") -> dict[str, Any]:
    """Return an entry of the sidebar, shown to those who have the permission."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(name),
        "permission": lambda request: not permission or request.user.has_perm(permission),
        "active": lambda request: _is_at(request.path, str(reverse_lazy(name))),
    }


def _is_at(path: str, link: str) -> bool:
    """Tell whether a page belongs to an entry of the sidebar: pages of their own below another's address do not."""
    pages = ("graph", "timeline", "system", "import", "export")
    own = [str(reverse_lazy(f"admin:scheduler_{page}")) for page in pages]
    if path in own or link in own or link == str(reverse_lazy("admin:index")):
        return path == link
    return path.startswith(link)


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Schedsite",
    "SITE_HEADER": "Schedsite",
    "SITE_SYMBOL": "schedule",
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "scheduler.views.overview.overview",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("scheduler/favicon.svg")}
    ],
    # The theme would write its colours into an inline style; site.css has them, which the policy allows.
    "COLORS": lambda _request: {},
    "STYLES": [
        lambda _request: static("scheduler/site.css"),
        lambda _request: static("scheduler/charts.css"),
        lambda _request: static("notifications/rules.css"),
        lambda _request: static("scheduler/graph.css"),
    ],
    "SCRIPTS": [
        lambda _request: static("scheduler/times.js"),
        lambda _request: static("scheduler/site.js"),
        lambda _request: static("scheduler/log.js"),
        lambda _request: static("notifications/rules.js"),
        lambda _request: static("scheduler/graph.js"),
    ],
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "items": [
                    _link(_("Overview"), "dashboard", "admin:index"),
                    _link(_("Tasks"), "schedule", "admin:scheduler_task_changelist", "scheduler.view_task"),
                    _link(
                        _("Executions"),
                        "history",
                        "admin:scheduler_execution_changelist",
                        "scheduler.view_execution",
                    ),
                    _link(_("Runs"), "play_circle", "admin:scheduler_run_changelist", "scheduler.view_run"),
                    _link(_("Graph"), "account_tree", "admin:scheduler_graph", "scheduler.view_task"),
                    _link(
                        _("Timeline"),
                        "view_timeline",
                        "admin:scheduler_timeline",
                        "scheduler.view_execution",
                    ),
                ]
            },
            {
                "title": _("Notifications"),
                "separator": True,
                "items": [
                    _link(
                        _("Rules"),
                        "notifications",
                        "admin:notifications_notificationrule_changelist",
                        "notifications.view_notificationrule",
                    ),
                    _link(
                        _("Deliveries"),
                        "outgoing_mail",
                        "admin:notifications_delivery_changelist",
                        "notifications.view_delivery",
                    ),
                ],
            },
            {
                "title": _("Installation"),
                "separator": True,
                "items": [
                    _link(
                        pgettext_lazy("page", "System"),
                        "monitor_heart",
                        "admin:scheduler_system",
                        "scheduler.view_process",
                    ),
                    _link(_("Import"), "upload_file", "admin:scheduler_import", "scheduler.add_task"),
                    _link(_("Export"), "download", "admin:scheduler_export", "scheduler.change_task"),
                    _link(_("API"), "api", "docs"),
                ],
            },
            {
                "title": _("Access"),
                "separator": True,
                "items": [
                    _link(_("Users"), "person", "admin:auth_user_changelist", "auth.view_user"),
                    _link(_("Groups"), "group", "admin:auth_group_changelist", "auth.view_group"),
                    _link(
                        _("API tokens"),
                        "key",
                        "admin:scheduler_apitoken_changelist",
                        "scheduler.view_apitoken",
                    ),
                ],
            },
        ],
    },
}

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "scheduler": {"level": LOG_LEVEL},
        "notifications": {"level": LOG_LEVEL},
        "django.request": {"level": "ERROR"},
    },
}
