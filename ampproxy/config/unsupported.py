"""Settings of CLIProxyAPI that have no effect here, and why."""

from __future__ import annotations

_NOT_LOGGED = "request and answer bodies are never written to files"
_NO_DISGUISE = "requests carry ampproxy's own headers and are not disguised"
_NO_VENDOR = "this kind of account is not served"
_ELSEWHERE = "the log goes where twistd's --logfile or systemd sends it; see logging"

#: CLIProxyAPI's settings that mean nothing here.
UNSUPPORTED = {
    "antigravity": _NO_DISGUISE,
    "accounting-outbox": "each exchange is recorded in the ledger",
    "antigravity-signature-bypass-strict": _NO_VENDOR,
    "antigravity-signature-cache-enabled": _NO_VENDOR,
    "auth-auto-refresh-workers": "logins are refreshed when needed",
    "claude": _NO_DISGUISE,
    "claude-code": _NO_DISGUISE,
    "claude-header-defaults": _NO_DISGUISE,
    "client": "no client's requests are rewritten for it",
    "codex": _NO_DISGUISE,
    "codex-header-defaults": _NO_DISGUISE,
    "commercial-mode": "there is one mode only",
    "credential-concurrency": "it belongs to CLIProxyAPI's Home",
    "credential-in-flight": "it belongs to CLIProxyAPI's Home",
    "devin": _NO_VENDOR,
    "disable-claude-cloak-mode": _NO_DISGUISE,
    "disable-image-generation": "no tool is ever added to a request",
    "discovery": "the service does not announce itself on the network",
    "error-logs-max-files": _NOT_LOGGED,
    "gpt-image-2-base-model": "no tool is ever added to a request",
    "home": "it belongs to CLIProxyAPI's Home",
    "interactions-api-key": _NO_VENDOR,
    "logging-to-file": _ELSEWHERE,
    "logs-max-total-size-mb": _ELSEWHERE,
    "meta-api-key": "list the keys under openai-compatibility, as one entry",
    "nonstream-keepalive-interval": "blank lines before an answer would turn errors into successes",
    "oauth-request-scoped-errors": "how failures are handled cannot be configured",
    "oauth-settings": "logins are set up by their files and in the section oauth",
    "plugins": "there are none of CLIProxyAPI's kind",
    "pprof": "that is a tool of the Go runtime",
    "quota-exceeded": "another account is tried whenever one is exhausted",
    "redis-usage-queue-retention-seconds": "there is no usage queue",
    "remote-management": "the service is managed through its configuration file",
    "request-log": _NOT_LOGGED,
    "save-cooldown-status": "cooldowns are forgotten at a restart",
    "transient-error-cooldown-seconds": "how long a cooldown lasts follows from the failure",
    "trusted-proxies": "the address that counts is the connection's own",
    "usage-statistics-enabled": "there is no usage queue",
    "video-result-auth-cache-ttl": "videos are not served",
    "ws-auth": "client keys are required on every route",
    "xai": _NO_VENDOR,
    "xai-api-key": "list the keys under openai-compatibility, as one entry",
}
