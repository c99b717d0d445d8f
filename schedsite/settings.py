"""Settings of Schedsite. Every value comes from the environment and has a default that works on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from schedsite import STARTED_WITH
from schedsite import environment as env
from schedsite.navigation import NAVIGATION
from schedsite.production import refusals
from scheduler.runner.environment import allowed_environment

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("SCHEDULER_DATA_DIR", str(BASE_DIR / "var"))).resolve()
env.make_folder("SCHEDULER_DATA_DIR", DATA_DIR)

# --- the site -------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
SERVES_THIS_MACHINE_ONLY = set(ALLOWED_HOSTS) <= env.LOOPBACK_HOSTS
SECRET_KEY = env.secret_key(is_local=SERVES_THIS_MACHINE_ONLY, path=DATA_DIR / "secret_key")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
PORT = env.integer("PORT", 8000, minimum=1, maximum=65535)
SITE_URL = env.url(
    "SITE_URL", f"http://localhost:{PORT}", schemes=("http", "https"), example="https://schedsite.example.org"
).rstrip("/")
SITE_THREADS = env.integer("SITE_THREADS", 8, minimum=1, maximum=64)
SITE_CONNECTIONS = env.integer("SITE_CONNECTIONS", 1000, minimum=10, maximum=100_000)
SITE_CONNECTIONS_PER_ADDRESS = env.integer("SITE_CONNECTIONS_PER_ADDRESS", 200, minimum=2, maximum=100_000)
SITE_READ_TIMEOUT = env.number("SITE_READ_TIMEOUT", 10, minimum=1, maximum=300)
IS_HTTPS = SITE_URL.startswith("https://")

ROOT_URLCONF = "schedsite.urls"
WSGI_APPLICATION = "schedsite.wsgi.application"
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "schedsite.apps.AdminConfig",
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
    "django.contrib.auth",  # after the app that extends its command changepassword
    "notifications",
    "schedsite.demo",
]

MIDDLEWARE = [
    "schedsite.forwarded.ForwardedHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "schedsite.middleware.csp.ContentSecurityPolicyMiddleware",
    "schedsite.middleware.sound_requests.SoundRequestMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "schedsite.middleware.no_store.NoStoreMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "scheduler.views.activity.SessionActivityMiddleware",
    "schedsite.middleware.logged_out.LoggedOutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "schedsite.middleware.database_busy.BusyDatabaseMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                        "notifications.channels.loader.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "scheduler.views.frame.failing",
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
] + [{"NAME": "scheduler.services.passwords.PasswordEndsAccess"}]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

SCHEDULER_LOGIN_ATTEMPTS = env.integer("SCHEDULER_LOGIN_ATTEMPTS", 5, minimum=1, maximum=1000)
SCHEDULER_LOGIN_ADDRESS_ATTEMPTS = env.integer(
    "SCHEDULER_LOGIN_ADDRESS_ATTEMPTS", 30, minimum=1, maximum=100_000
)
SCHEDULER_LOGIN_WAIT = env.number("SCHEDULER_LOGIN_WAIT", 900, minimum=1, maximum=86_400)
SCHEDULER_TOKEN_ATTEMPTS = env.integer("SCHEDULER_TOKEN_ATTEMPTS", 20, minimum=1, maximum=100_000)
SCHEDULER_TOKEN_DAYS = env.integer("SCHEDULER_TOKEN_DAYS", 90, minimum=1, maximum=36_500)
SCHEDULER_TEST_LIMIT = env.integer("SCHEDULER_TEST_LIMIT", 60, minimum=1, maximum=100_000)
SCHEDULER_RUN_LIMIT = env.integer("SCHEDULER_RUN_LIMIT", 600, minimum=1, maximum=1_000_000)
SCHEDULER_AUDIT_DAYS = env.integer("SCHEDULER_AUDIT_DAYS", 365, minimum=1, maximum=36_500)
SCHEDULER_SESSION_IDLE_HOURS = env.number("SCHEDULER_SESSION_IDLE_HOURS", 12, minimum=0.05, maximum=8760)
SCHEDULER_SESSION_DAYS = env.number("SCHEDULER_SESSION_DAYS", 14, minimum=0.05, maximum=365)
SESSION_ENGINE = "scheduler.models.session_store"
SESSION_COOKIE_AGE = round(
    SCHEDULER_SESSION_DAYS * 86_400
)  # the idle limit is kept by the row of the session
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
TRUST_PROXY_HEADERS = env.proxy_headers("TRUST_PROXY_HEADERS", "0")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES", "127.0.0.1,::1")
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if "X-Forwarded-Proto" in TRUST_PROXY_HEADERS else None
)
USE_X_FORWARDED_HOST = "X-Forwarded-Host" in TRUST_PROXY_HEADERS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
# Redirect http to https where the original scheme is known; local monitors use http.
SECURE_SSL_REDIRECT = IS_HTTPS and SECURE_PROXY_SSL_HEADER is not None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
# Subdomains and sibling domains are not ours to decide on: no includeSubDomains, no preload.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 25_000  # the form of a task with the maximum of rules and channels
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024  # more than the limit of 5 MB for a configuration

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
        "postgres://user:password@host:5432/name is needed"  # the value may contain a password
    ) from None
if _database.get("ENGINE") not in {"django.db.backends.sqlite3", "django.db.backends.postgresql"}:
    raise ImproperlyConfigured(
        f"DATABASE_URL names {_database.get('ENGINE')!r}; SQLite and PostgreSQL are supported"
    )
if _database["ENGINE"].endswith("sqlite3") and _database["NAME"] in ("", ":memory:"):
    raise ImproperlyConfigured("DATABASE_URL names no file; processes could not share the database")
# One persistent connection per process; long-running loops close broken ones.
_database.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
if _database["ENGINE"].endswith("sqlite3"):
    # Deferred transactions raise "database is locked" at once when two writers upgrade; see the system check.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
    }
DATABASES = {"default": _database}

REDIS_URL = env.url("REDIS_URL", schemes=("redis", "rediss", "unix"), example="redis://127.0.0.1:6379/0")
if not SERVES_THIS_MACHINE_ONLY:
    _refused = refusals(is_debug=DEBUG, hosts=ALLOWED_HOSTS, redis_url=REDIS_URL)
    if _refused:
        raise ImproperlyConfigured("; ".join(_refused))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    }
}

# --- the scheduler --------------------------------------------------------------------------------

# Not resolved: symlinks are resolved when a command starts.
SCHEDULER_TASKS_DIR = Path(env.text("SCHEDULER_TASKS_DIR", str(BASE_DIR / "tasks"))).absolute()
SCHEDULER_SPOOL_DIR = Path(env.text("SCHEDULER_SPOOL_DIR", str(DATA_DIR / "spool"))).resolve()
SCHEDULER_WORKERS = env.integer("SCHEDULER_WORKERS", 2, minimum=1, maximum=64)
SCHEDULER_SLOTS = env.integer("SCHEDULER_SLOTS", 64, minimum=1, maximum=1000)
SCHEDULER_QUEUE = env.queue("SCHEDULER_QUEUE", "default")
SCHEDULER_LOG_LIMIT = env.integer("SCHEDULER_LOG_LIMIT", 1024 * 1024, minimum=1024, maximum=64 * 1024 * 1024)
SCHEDULER_HISTORY_DAYS = env.integer("SCHEDULER_HISTORY_DAYS", 90, minimum=1, maximum=36_500)
SCHEDULER_FREE_SPACE = env.integer("SCHEDULER_FREE_SPACE", 500, minimum=0, maximum=1_000_000)
SCHEDULER_HEARTBEAT = env.number("SCHEDULER_HEARTBEAT", 10, minimum=0.1, maximum=60)
SCHEDULER_LEASE = env.number("SCHEDULER_LEASE", 30, minimum=0.5, maximum=600)
SCHEDULER_SWEEP = env.number("SCHEDULER_SWEEP", 10, minimum=0.1, maximum=60)
SCHEDULER_GRACE = env.number("SCHEDULER_GRACE", 10, minimum=0, maximum=600)
SCHEDULER_NOTIFY_HOURLY_LIMIT = env.integer("SCHEDULER_NOTIFY_HOURLY_LIMIT", 60, minimum=1, maximum=100_000)
SCHEDULER_NOTIFY_ATTEMPTS = env.integer("SCHEDULER_NOTIFY_ATTEMPTS", 8, minimum=1, maximum=100)
SCHEDULER_NOTIFY_DEADLINE = env.number("SCHEDULER_NOTIFY_DEADLINE", 15, minimum=1, maximum=300)
SCHEDULER_NOTIFY_LANGUAGE = env.choice("SCHEDULER_NOTIFY_LANGUAGE", LANGUAGE_CODE, ("en", "zh-hans"))
SCHEDULER_HEARTBEAT_URL = env.web_address("SCHEDULER_HEARTBEAT_URL")
SCHEDULER_METRICS = env.choice("SCHEDULER_METRICS", "local", ("local", "token", "off"))
SCHEDULER_METRICS_TASKS = env.integer("SCHEDULER_METRICS_TASKS", 1000, minimum=0, maximum=100_000)
SCHEDULER_STOP = env.choice("SCHEDULER_STOP", "leave", ("leave", "wait", "terminate"))
if SCHEDULER_LEASE < 3 * SCHEDULER_HEARTBEAT:
    raise ImproperlyConfigured(
        f"SCHEDULER_LEASE is {SCHEDULER_LEASE:g} and SCHEDULER_HEARTBEAT {SCHEDULER_HEARTBEAT:g}; "
        "the lease must be at least three heartbeats, or healthy workers are taken for dead"
    )

COMMAND_ENVIRONMENT = allowed_environment(STARTED_WITH)

# --- notifications --------------------------------------------------------------------------------

EMAIL_BACKEND = "notifications.channels.email.smtp.EmailBackend"
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
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both on; TLS starts after connecting (port 587), SSL at once (port 465)"
    )
SCHEDULER_WEBHOOK_ALLOW = env.targets("SCHEDULER_WEBHOOK_ALLOW")

# django-q2 only carries wake-ups. Each value below differs from a default that loses, repeats or hangs;
# the system check scheduler.E003 rejects other values.
Q_CLUSTER: dict[str, Any] = {
    "name": "schedsite",  # also the salt of the signatures: one name for all clusters
    "cluster_name": SCHEDULER_QUEUE,
    "label": "Queue",
    "workers": SCHEDULER_WORKERS
    + 1,  # one is never occupied by executions; see scheduler.processes.cluster.job_permit
    "queue_limit": SCHEDULER_WORKERS + 1,
    "bulk": 1,
    "poll": 0.05,  # where the queue cannot be listened to
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
    Q_CLUSTER["broker_class"] = "scheduler.processes.redis_broker.RedisWakeBroker"
else:
    Q_CLUSTER["orm"] = "default"
    Q_CLUSTER["broker_class"] = "scheduler.processes.brokers.DatabaseWakeBroker"

# --- static files, API, logging -------------------------------------------------------------------

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # serves the apps' static folders; no collectstatic needed

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
    "ENUM_NAME_OVERRIDES": {
        "StatusEnum": "scheduler.choices.Status.values",
        "RunStatusEnum": "scheduler.choices.RunStatus.values",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # it would say each value twice
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Deep links are links inside buttons, which screen readers cannot distinguish.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False},
    "REDOC_DIST": "SIDECAR",
}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Schedsite",
    "SITE_HEADER": "Schedsite",
    "SITE_SYMBOL": "schedule",
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "scheduler.views.overview.overview",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("scheduler/favicon.svg")}
    ],
    # The theme would write colours into an inline style; they are in site.css, which the policy allows.
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
        "navigation": NAVIGATION,
    },
}

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"error_id": {"()": "schedsite.server_errors.ErrorIdFilter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["error_id"]},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "schedsite": {"level": LOG_LEVEL},
        "scheduler": {"level": LOG_LEVEL},
        "notifications": {"level": LOG_LEVEL},
        "django.request": {"level": "ERROR"},
    },
}
