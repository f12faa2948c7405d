"""Settings. Every environment variable is declared once, below, with its meaning; all are optional.

Importing this module reads the environment and nothing else: no secret is needed and no file is written, so linters,
type checkers and tests can load it anywhere.
"""

import secrets
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import lazy

from pki_portal.state import read_or_create_secret

VERSION = "0.1.0"
BASE_DIR = Path(__file__).resolve().parent.parent

if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(BASE_DIR / ".env")  # what is exported already wins

# What was set and cannot be read, by its name, and why: the check pki_portal.E010 tells of it and stops the start.
UNREADABLE: dict[str, str] = {}


class _Env(environ.FileAwareEnv):  # type: ignore[misc]
    """NAME_FILE=/run/secrets/name gives the content of that file as NAME; where a line feed at its end would matter, it
    is taken off below. What cannot be read is its default, so that the check can run; and so is what is empty.
    """

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except OSError as problem:
            UNREADABLE[var] = f"{var}_FILE names {problem.filename}, which cannot be read ({problem.strerror})"
        except ValueError as problem:
            if self.ENVIRON[var]:
                UNREADABLE[var] = f"{var} {problem}"
        return self.scheme[var][1]


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.strip().isdecimal() else -1
        if not least <= number <= most:
            raise ValueError(f"is no whole number from {least} to {most}")
        return number

    return read


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in {*environ.Env.BOOLEAN_TRUE_STRINGS, "false", "off", "no", "n", "0"}:
        raise ValueError("is neither true nor false")
    return word in environ.Env.BOOLEAN_TRUE_STRINGS


env = _Env(
    # Address and port the server listens on.
    HOST=(str, "127.0.0.1"),
    PORT=(_whole_number(1, 65_535), 8000),
    # The address people and programs use; it is written into certificates (CRL and CA certificate URLs) and answers.
    # https here also makes cookies secure and turns HSTS on. Default: http://HOST:PORT.
    SITE_URL=(str, ""),
    # postgres://user:password@host:5432/name. Default: SQLite in the state folder.
    DATABASE_URL=(str, ""),
    # Folder of all state: database, master key, SECRET_KEY. Default: var/ beside manage.py.
    PKI_PORTAL_VAR=(str, ""),
    # Folder of the issuance journal, which says what was signed when the database no longer does: best on another disk
    # than the database. Default: journal in the state folder.
    PKI_PORTAL_JOURNAL=(str, ""),
    # Django's signing key. Default: made once and kept in the state folder.
    SECRET_KEY=(str, ""),
    # How many proxies stand in front, each adding to X-Forwarded-For; 0: the peer's address counts and the header is
    # not read. Too high a number lets clients make up their address.
    TRUSTED_PROXIES=(_whole_number(0, 100), 0),
    # Host names answered, by commas. Default: the host of SITE_URL, HOST and the names of this machine's loopback.
    ALLOWED_HOSTS=(list, []),
    # PKCS#11 library of an HSM, the label of the token in it, and the user's PIN: CAs can then be made whose keys never
    # leave the token. Needs requirements/hsm.txt.
    PKCS11_MODULE=(str, ""),
    PKCS11_TOKEN_LABEL=(str, ""),
    PKCS11_PIN=(str, ""),
    # Processes of the web server on this machine. Default: 2 on SQLite, which has one writer at a time, else 3.
    WEB_CONCURRENCY=(_whole_number(0, 1000), 0),
    # The web server runs a background worker beside itself. false: manage.py worker runs as a service of its own.
    WORKER=(_truth, True),
    # A process beside the web server makes some RSA keys in advance, while the machine has nothing better to do. false:
    # each is made when it is asked for.
    KEY_POOL=(_truth, True),
    # redis://host:6379/0: hints of background work are queued there by RQ instead of in the database. Needs
    # requirements/rq.txt.
    TASKS_REDIS_URL=(str, ""),
    # Where mail goes out: smtp+tls://user:password@mail.example.com:587 (smtp+ssl, smtp). Default: none does.
    EMAIL_URL=(str, ""),
    # The sender of mail. Default: pki-portal@ the host of SITE_URL.
    EMAIL_FROM=(str, ""),
    # Networks that webhooks may reach although they are not of the public internet, by commas: 10.0.0.0/8.
    WEBHOOK_ALLOWED_NETWORKS=(list, []),
    # What Prometheus sends as a bearer token to /metrics. Without one, /metrics answers this machine only, and only
    # while the portal is for this machine only.
    METRICS_TOKEN=(str, ""),
    # Tracebacks in the browser; never where others can reach the server.
    DEBUG=(_truth, False),
)
# Plain Env: the master key file is read when a key is needed, not here, and quickstart may make it.
master_key_env = environ.Env(
    # Key-encryption keys "id:base64", by commas: the first one seals, all of them open.
    PKI_PORTAL_MASTER_KEYS=(str, ""),
    # File with the same text. Default: master-keys in the state folder.
    PKI_PORTAL_MASTER_KEYS_FILE=(str, ""),
)

HOST: str = env("HOST")
PORT: int = env("PORT")
_bracketed_host = f"[{HOST}]" if ":" in HOST else HOST
LISTEN = f"{_bracketed_host}:{PORT}"
_reachable_host = "localhost" if HOST in {"", "0.0.0.0", "::"} else _bracketed_host  # noqa: S104 - compared, not bound
SITE_URL: str = (env("SITE_URL") or f"http://{_reachable_host}:{PORT}").rstrip("/")
_site = urlsplit(SITE_URL)
IS_HTTPS = _site.scheme == "https"

PKI_PORTAL_VAR = Path(env("PKI_PORTAL_VAR") or BASE_DIR / "var").absolute()
PKI_PORTAL_JOURNAL = Path(env("PKI_PORTAL_JOURNAL") or PKI_PORTAL_VAR / "journal").absolute()
PKI_PORTAL_MASTER_KEYS: str = master_key_env("PKI_PORTAL_MASTER_KEYS")
PKI_PORTAL_MASTER_KEYS_FILE = Path(master_key_env("PKI_PORTAL_MASTER_KEYS_FILE") or PKI_PORTAL_VAR / "master-keys")

PKCS11_MODULE: str = env("PKCS11_MODULE")
PKCS11_TOKEN_LABEL: str = env("PKCS11_TOKEN_LABEL")
PKCS11_PIN: str = env("PKCS11_PIN").strip()


def _stored_secret_key() -> str:
    return read_or_create_secret(PKI_PORTAL_VAR / "secret-key", lambda: secrets.token_urlsafe(50))


SECRET_KEY: Any = env("SECRET_KEY") or lazy(_stored_secret_key, str)()  # lazy: read or made at the first signature
DEBUG: bool = env("DEBUG")
WORKER: bool = env("WORKER")
KEY_POOL: bool = env("KEY_POOL")
METRICS_TOKEN: str = env("METRICS_TOKEN").strip()
TRUSTED_PROXIES: int = env("TRUSTED_PROXIES")
ALLOWED_HOSTS: list[str] = env("ALLOWED_HOSTS") or sorted(
    {_site.hostname or "localhost", _reachable_host, "localhost", "127.0.0.1", "[::1]"}
)
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]

# --- Applications

INSTALLED_APPS = [
    "pki_portal",
    "pki_portal.background",
    "pki_portal.audit",
    "pki_portal.access",
    "profiles",
    "certificates",
    "certificates.alerts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
]

MIDDLEWARE = [
    "pki_portal.middleware.RequestIdMiddleware",
    "pki_portal.middleware.ApiNeverStoredMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "pki_portal.page_middleware.PageCspMiddleware",
    "pki_portal.admission.AdmissionMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "pki_portal.page_middleware.PageSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "pki_portal.page_middleware.PageAuthenticationMiddleware",
    "pki_portal.page_middleware.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "pki_portal.urls"
WSGI_APPLICATION = "pki_portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
            ],
        },
    }
]

# --- Database and cache

# FULL: a certificate that was answered survives a power cut. IMMEDIATE: a transaction that will write takes the lock
# at its start and waits for it, instead of failing half-way.
_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA busy_timeout=20000;PRAGMA cache_size=-20000;"
        "PRAGMA mmap_size=134217728;PRAGMA journal_size_limit=67108864;PRAGMA temp_store=MEMORY;"
    ),
}


def _database(url: str) -> dict[str, Any]:
    if url and not url.startswith(("postgres://", "postgresql://", "sqlite:///")):
        return {"ENGINE": "django.db.backends.dummy"}  # the check pki_portal.E006 says what is wrong
    # Connections live as long as the worker: 3 to 5 times the throughput.
    database: dict[str, Any] = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    database |= environ.Env.db_url_config(url or f"sqlite:///{PKI_PORTAL_VAR / 'db.sqlite3'}")
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = _SQLITE_OPTIONS
    return database


DATABASES = {"default": _database(env("DATABASE_URL").strip())}

# One certificate is one short burst of CPU: processes, not threads. PostgreSQL leaves time to fill while a commit is
# awaited.
WEB_CONCURRENCY: int = env("WEB_CONCURRENCY") or (2 if DATABASES["default"]["ENGINE"].endswith("sqlite3") else 3)

# Login limits are counted here, so all processes must see the same counts.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "portal_cache"}}

# --- Background work

# Where hints are queued (pki_portal.background.tasks); what is due stands in rows, whatever becomes of a queue.
TASKS_REDIS_URL: str = env("TASKS_REDIS_URL").strip()
HAS_RQ = find_spec("django_tasks_rq") is not None
if TASKS_REDIS_URL and HAS_RQ:  # without it the check pki_portal.E009 says what is missing
    TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    INSTALLED_APPS.append("django_rq")
    # A queue that hangs must not hold a request up. JSON: RQ's default is pickle, by which whoever can write to Redis
    # runs code here.
    _limits = f"{'&' if '?' in TASKS_REDIS_URL else '?'}socket_connect_timeout=2&socket_timeout=5"
    RQ_QUEUES = {"default": {"URL": TASKS_REDIS_URL + _limits, "SERIALIZER": "rq.serializers.JSONSerializer"}}
else:
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# --- People's login

AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_ADAPTER = "pki_portal.access.accounts.AccountAdapter"
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _site.scheme

# --- Mail and webhooks

_email_url: str = env("EMAIL_URL").strip()
SENDS_MAIL = bool(_email_url)
try:
    _mail: dict[str, Any] = environ.Env.email_url_config(_email_url or "dummymail://")
except ImproperlyConfigured:
    UNREADABLE["EMAIL_URL"] = "EMAIL_URL is no address such as smtp+tls://user:password@mail.example.com:587"
    _mail = environ.Env.email_url_config("dummymail://")
# Accounts send none even so: their links are handed over by an administrator.
EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST: str = _mail["EMAIL_HOST"] or "localhost"
EMAIL_PORT: int = _mail["EMAIL_PORT"] or {"EMAIL_USE_SSL": 465, "EMAIL_USE_TLS": 587}.get(
    next((name for name in ("EMAIL_USE_SSL", "EMAIL_USE_TLS") if _mail.get(name)), ""), 25
)
EMAIL_HOST_USER: str = _mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD: str = _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS: bool = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL: str = env("EMAIL_FROM") or f"pki-portal@{_site.hostname or 'localhost'}"
WEBHOOK_ALLOWED_NETWORKS: list[str] = env("WEBHOOK_ALLOWED_NETWORKS")

# --- HTTP

SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True  # pages carry the token in their markup
CSRF_FAILURE_VIEW = "pki_portal.api.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: this portal speaks for its own host only
    "security.W008",  # a redirect to https is the proxy's: behind one that hides the scheme it would never end
    "security.W021",  # HSTS preload: as W005
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "pki_portal.uploads.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4000  # 1,000 alternative names, each a type and a value, and the rest of the form

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # served from where the files lie: no collectstatic before the first start
WHITENOISE_AUTOREFRESH = DEBUG

# --- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "pki_portal.access.authentication.BearerAuthentication",
        "pki_portal.access.authentication.PortalSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "pki_portal.rest.WireNegotiation",
    "DEFAULT_PARSER_CLASSES": ["pki_portal.rest.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "pki_portal.api.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,  # ?format= is nobody's business here
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "PKI Portal",
    "DESCRIPTION": "Certificates from profiles: issue, sign, renew, look up.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v[0-9]",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    # Fields called status and type mean different things: each gets a name that says which.
    "ENUM_NAME_OVERRIDES": {
        "AuthorityStatusEnum": ["active", "disabled", "pending-certificate"],
        "AuthorityKindEnum": ["root", "intermediate"],
        "CertificateStatusEnum": "certificates.models.certificate.CertificateStatus",
        "CertificateStatusFilterEnum": ["active", "expired", "revoked"],
        "ApproverKindEnum": ["user", "role"],
        "ApprovalPolicyTypeEnum": ["cert-request"],
        "ApprovalStateEnum": ["pending", "approved", "rejected", "cancelled", "expired"],
        "PollStatusEnum": ["pending", "issued", "failed"],
        "RequestStatusEnum": "certificates.models.request.RequestStatus",
        "AlertKindEnum": [
            *("certificate-expiry", "ca-expiry", "crl-expiry"),
            *("renewal-failure", "renewal-rehearsal", "unclaimed-key", "risky-issuance"),
        ],
        "AlertDeliveryStatusEnum": ["pending", "delivered", "failed"],
        "NameTypeEnum": ["email", "dns_name", "uri", "ip_address", "upn"],
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Language, time, log

DEFAULT_EXCEPTION_REPORTER_FILTER = "pki_portal.reporting.ReportFilter"

LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "pki_portal.middleware.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR"},  # refusals are answered and audited; faults are logged
        # Hints come and go; the worker says what became of their rows.
        "django_tasks": {"level": "WARNING"},
        "django_tasks_db": {"level": "WARNING"},
    },
}
