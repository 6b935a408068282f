"""The routes that Amp's clients are known to ask for, so that new ones can be told."""

from __future__ import annotations

import re
from functools import lru_cache

#: Methods of ``POST /api/internal?METHOD`` that clients up to September 2026 have.
INTERNAL: frozenset[str] = frozenset(
    (
        *("addThreadLabels", "archiveThread", "createTask", "deleteTask", "deleteThread", "discoverThreads"),
        *("extractWebPageContent", "getCreditsByRequestId", "getCurrentAd", "getTask", "getThread"),
        *("getThreadLabels", "getThreadLinkInfo", "getThreadProject", "getThreadTail"),
        *("getUserFreeTierStatus", "getUserInfo", "getUserLabels", "listTasks", "listThreads"),
        *("loadPlugins", "loadSkills", "markAsReadMysteriousMessage", "setThreadLabels"),
        *("setThreadMeta", "shareThreadWithOperator", "threadDisplayCostInfo", "updateTask"),
        *("uploadFileChanges", "uploadThread", "userDisplayBalanceInfo", "webSearch2"),
    )
)

#: Methods that the client of September 2026 has beside them: for the connections of Amp's model routing, and
#: for what else its cloud keeps.
_LATER = (
    "addCustomDomain attachBugReportDiagnostics checkModelProviderAccess createApp"
    " createAppDeploymentUpload createExternalAPIOAuthClient createGitAccessToken createModelProviderKey"
    " createProject createRemoteExecutorThread deleteApp deleteAppObelisk deleteAutomation"
    " deleteEnvVarSecret deleteModelProviderKey deleteProject deleteProjectSandboxSnapshots"
    " ensureAppObelisk execAppObelisk getAgentModelCatalog getAppDeployment getAppObelisk"
    " getDictationVocabulary getEnvironmentVariable getGitHubGitAccessToken"
    " getModelProviderWorkloadIdentity getOrbSystemMetrics getProject getProjectGalleryMedia"
    " getThreadInitialTranscriptPage getThreadMessagesPage getThreadMeta getThreadNetRoute"
    " getThreadTranscriptPage gmailRead gmailWrite listAccessibleProjects listAgentModes"
    " listAppDeployments listApps listAutomations listCustomDomains listEnvVarSecretEvents"
    " listEnvVarSecrets listExternalAPIOAuthClients listGlobalPluginRepositories"
    " listGlobalSkillRepositories listModelProviderKeys listProjectSandboxSnapshots listRunners"
    " logNewsCardAction logNoticeAction logSplashDispatchAction manageExternalAgents"
    " manageRemoteMCPServers mcpListAccountServers mintPortalLoginURL newsCard notarizePluginSource"
    " notices openPuckThread publishAppDeployment readPluginSkillReference recheckCustomDomain"
    " recordAppObeliskDeploy recordCLISignIn registerPluginWebhookTrigger removeCustomDomain"
    " resolveProjectByRepositoryURLs resolveThreadPortalURL restartOrbProcesses sendMessageToThread"
    " sendReport setDictationVocabulary setEnvVarSecret setModelProviderKeyActive"
    " setModelProviderKeyPriority setModelProviderKeySecret setPluginThreadMultiplayer"
    " setPluginThreadVisibility setThreadNetRoute setThreadPortalHostname signCommit splashDispatch"
    " testModelProviderInference testModelProviderKey updateApp updateAutomation"
    " updateExternalAPIOAuthClient updateModelProviderKey updateProject updateProjectGalleryMedia"
    " updateThread"
)
INTERNAL |= frozenset(_LATER.split())

#: (methods, path): ``*`` is one segment, ``**`` any number of them, none included.
ROUTES: tuple[tuple[str, str], ...] = (
    ("POST", "/api/telemetry"),
    ("POST", "/api/otel/**"),
    ("GET", "/api/internal/github-auth-status"),
    ("GET", "/api/internal/bitbucket-instance-url"),
    ("*", "/api/internal/github-proxy/**"),
    ("GET", "/api/threads"),
    ("GET POST", "/api/threads/find"),
    ("POST", "/api/threads/sync"),
    ("*", "/api/threads/*"),
    ("*", "/api/threads/*/diff-captures/**"),
    ("*", "/api/thread-imports/**"),
    ("*", "/api/orb-spawner/**"),
    ("*", "/api/upload"),
    ("*", "/api/search"),
    ("*", "/api/durable-thread-workers"),
    ("*", "/api/durable-thread-workers/*"),
    ("POST", "/api/thread-actors"),
    ("POST", "/api/thread-actors/*"),
    ("POST", "/api/user-actor-credentials"),
    ("*", "/api/attachments/**"),
    ("*", "/api/skills/**"),
    ("*", "/api/user"),
    ("*", "/api/meta"),
    ("*", "/api/ads"),
    ("*", "/api/auth/**"),
    ("*", "/api/tab/**"),
    ("GET", "/api/provider/cerebras/v1/tcp_warming"),
    ("*", "/actors"),
    ("GET", "/actors/metadata"),
    ("UPGRADE", "/actors/gateway/*/websocket/**"),
    *(
        ("GET POST", f"/actors/gateway/*/request/{what}")
        for what in (
            *("context-analysis", "import", "inference", "inference-messages", "raw-thread", "rpc", "skills"),
        )
    ),
    *(("*", f"/{page}/**") for page in ("auth", "threads", "docs", "settings", "pay", "install")),
    ("*", "/portals/**"),
    ("GET POST", "/git/**"),
    ("*", "/workspaces/*/model-routing"),
    ("GET", "/news.rss"),
    ("GET", "/threads.rss"),
)

#: The method of a request that asks for another protocol.
UPGRADE = "UPGRADE"

#: A segment that is a word of a route: a name, a version, a file. All else may be an id, or a secret.
_WORD = re.compile(r"(?!(?:T|M|TU)-)[A-Za-z][A-Za-z_.-]{0,31}[0-9]{0,2}(?:[A-Za-z]{1,5}[0-9]?)?\Z")
_DEEPEST = 12


def _pattern(path: str) -> str:
    parts = ["(?:/.*)?" if part == "**" else "/[^/]+" if part == "*" else "/" + re.escape(part)
             for part in path[1:].split("/")]  # fmt: skip
    return "".join(parts) + "/?"


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[frozenset[str], re.Pattern[str]], ...]:
    """Made when the first request comes: the start has other things to do."""
    return tuple((frozenset(methods.split()), re.compile(_pattern(path) + r"\Z")) for methods, path in ROUTES)


def is_known(method: str, path: str, query: str = "") -> bool:
    """Whether a client is known to ask for this.

    :param method: of HTTP, or :data:`UPGRADE`.
    """
    if path == "/api/internal" and method == "POST":
        return _called(query) in INTERNAL
    asked = "GET" if method in ("HEAD", "OPTIONS") else method
    return _is_listed(asked, path) if len(path) <= _MAX_PATH_CHARS else _find_listed(asked, path)


def _find_listed(asked: str, path: str) -> bool:
    return any(
        (asked in methods or (methods == _ANY and asked != UPGRADE)) and pattern.match(path)
        for methods, pattern in _compiled()
    )


#: The paths that were looked up last, each up to so many characters.
_MAX_PATH_CHARS = 200
_is_listed = lru_cache(maxsize=512)(_find_listed)

_ANY = frozenset("*")


def below_models(path: str) -> bool:
    """Whether a path is one at which Amp would serve models, for credits."""
    return f"{path}/".startswith("/api/provider/")


def shape(path: str, query: str = "") -> str:
    """A path without what stands for single things: ids, names, keys. Of the query only the name of a method
    of ``/api/internal`` is kept.
    """
    segments = path.split("/")[1 : _DEEPEST + 1]
    plain = "".join("/" + (part if not part or _WORD.match(part) else "{id}") for part in segments)
    if plain != "/api/internal":
        return plain
    called = _called(query)
    return f"{plain}?{called if _WORD.match(called) else '{id}'}" if called else plain


def _called(query: str) -> str:
    return query.partition("&")[0].partition("=")[0]
