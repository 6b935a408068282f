"""What a vendor's refusal means for the account."""

from __future__ import annotations

import json
from functools import partial

import pytest
from msgspec.structs import replace

from ampproxy.config.schema import Account
from ampproxy.credentials.outcomes import COOLDOWNS, RULES, Action, classify, classify_fault, for_account
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import TruncatedStream, Unreachable, UpstreamTimeout
from ampproxy.wire.redact import Secret
from tests.cases import each
from tests.clocked import within

WALL = 1_700_000_000.0
MINUTES = 60.0


def anthropic(kind, message, **members):
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **members}})


def openai(message, **members):
    return json.dumps({"error": {"message": message, **members}})


def gemini(code, status, message, *details):
    return json.dumps({"error": {"code": code, "status": status, "message": message, "details": details}})


def verdict(dialect, status, body, **headers):
    lowered = {name.replace("_", "-"): value for name, value in headers.items()}
    error = DIALECTS[dialect].parse_error(status, lowered, body.encode())
    return classify(status, error, lowered, body.encode(), wall=WALL)


A, C, R, G = "anthropic", "openai-chat", "openai-responses", "gemini"
CLIENT, MODEL, ACCOUNT, LOGIN = Action.CLIENT, Action.REST_MODEL, Action.REST_ACCOUNT, Action.LOGIN
BUSY, TRY_NEXT = Action.OVERLOADED, Action.TRY_NEXT
CASES = [
    # The client's own fault: never tried again.
    (A, 400, anthropic("invalid_request_error", "max_tokens: Field required"), CLIENT, 0),
    (A, 400, anthropic("invalid_request_error", "prompt is too long: 300000 tokens > 200000"), CLIENT, 0),
    (A, 413, anthropic("request_too_large", "Request exceeds the maximum size"), CLIENT, 0),
    (C, 403, openai('a/b requires moderation. Your input was flagged for "x".', code="403"), CLIENT, 0),
    (R, 403, openai("This request was refused.", code="cyber_policy"), CLIENT, 0),
    (C, 400, openai("Unsupported parameter: 'temperature' is not supported with this model.",
                    code="unsupported_parameter"), CLIENT, 0),
    (C, 400, openai("Invalid value for 'model' parameter type."), CLIENT, 0),
    (C, 400, openai("maximum context length is 8192", code="context_length_exceeded"), CLIENT, 0),
    (C, 422, openai("Unprocessable"), CLIENT, 0),
    (C, 400, openai("This model does not support image input."), CLIENT, 0),
    (R, 404, openai("Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
     CLIENT, 0),
    (R, 400, openai("Previous response with id 'r' not found.", code="previous_response_not_found"),
     CLIENT, 0),
    (G, 400, gemini(400, "INVALID_ARGUMENT", "Invalid JSON payload"), CLIENT, 0),
    (G, 400, gemini(400, "FAILED_PRECONDITION", "Function calls must be followed"), CLIENT, 0),
    (C, 400, openai("The store is not supported in this country club."), CLIENT, 0),
    # The account's, though the status is that of a bad request.
    (A, 400, anthropic("invalid_request_error", "You have reached your specified API usage limits. You will"
                       " regain access on 2026-12-01 at 00:00 UTC."), ACCOUNT, 30 * MINUTES),
    (G, 400, gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
     ACCOUNT, 30 * MINUTES),
    (C, 403, openai("Country, region, or territory not supported", code="unsupported_country"),
     ACCOUNT, 30 * MINUTES),
    (C, 400, openai("No available channel for model m under group default"), MODEL, MINUTES),
    (C, 400, openai("Service temporarily unavailable, please try again later"), MODEL, MINUTES),
    (C, 413, openai("Request too large for model m on tokens per minute (TPM): Limit 6000, Requested 9000",
                    code="rate_limit_exceeded"), TRY_NEXT, 0),
    (G, 500, gemini(500, "UNKNOWN", "odd"), CLIENT, 0),
    (A, 404, anthropic("not_found_error", "File not found: file_01"), CLIENT, 0),
    (G, 403, gemini(403, "PERMISSION_DENIED", "You do not have permission to access the File x"), CLIENT, 0),
    (A, 404, anthropic("not_found_error", "No", details={"error_code": "thread_not_found"}), CLIENT, 0),
    (R, 404, openai("No thread found with id 'thread_1'."), CLIENT, 0),
    (R, 404, openai("No file found with id file-1"), CLIENT, 0),
    (R, 404, openai("Conversation with id 'conv_1' not found."), CLIENT, 0),
    (R, 404, openai("Gone", code="container_not_found"), CLIENT, 0),
    (C, 404, openai("No batch found with id 'batch_1'."), CLIENT, 0),
    # The account has not got the model: another may.
    (R, 400, openai("The 'gpt-5.3-codex' model is not supported when using Codex with a ChatGPT account."),
     MODEL, 30 * MINUTES),
    (C, 404, openai("The model `gpt-9` does not exist or you do not have access to it.",
                    code="model_not_found"), MODEL, 30 * MINUTES),
    (C, 403, openai("This model is not available on your plan"), MODEL, 30 * MINUTES),
    (A, 404, anthropic("not_found_error", "model: claude-9"), MODEL, 30 * MINUTES),
    (G, 404, gemini(404, "NOT_FOUND", "models/x is not found for API version v1beta"), MODEL, 30 * MINUTES),
    # The model is gone: no matter of the account's.
    (C, 404, openai("The model `gpt-4-32k` has been deprecated, learn more here: https://x",
                    code="model_not_found"), TRY_NEXT, 0),
    (R, 410, openai("The model gpt-4-32k is deprecated."), TRY_NEXT, 0),
    (C, 400, openai("The model `llama-3.1-70b` has been decommissioned and is no longer supported.",
                    code="model_decommissioned"), TRY_NEXT, 0),
    (G, 404, gemini(404, "NOT_FOUND", "This model models/gemini-2.0-flash is no longer available. Please"
                    " update your code to use a newer model."), TRY_NEXT, 0),
    (G, 404, gemini(404, "NOT_FOUND", "Publisher Model `projects/p/models/gemini-1.5-pro` was retired."),
     TRY_NEXT, 0),
    (A, 404, anthropic("not_found_error", "This model version has reached the end of its life."),
     TRY_NEXT, 0),
    (C, 404, openai("model 'command' was removed on September 15, 2025"), TRY_NEXT, 0),
    (C, 410, openai("gone", code="ModelDeprecated"), TRY_NEXT, 0),
    # What sounds like it and is not.
    (A, 400, anthropic("invalid_request_error", "thinking.type.enabled is deprecated for this model"),
     CLIENT, 0),
    (C, 400, openai("The model gpt-9 is deprecated for your use of 'max_tokens'."), CLIENT, 0),
    (G, 404, gemini(404, "NOT_FOUND", "The model gemini-2.5-pro is no longer available to new users."),
     MODEL, 30 * MINUTES),
    # The key.
    (A, 401, anthropic("authentication_error", "invalid x-api-key"), LOGIN, 30 * MINUTES),
    (A, 401, anthropic("permission_error", "no"), LOGIN, 30 * MINUTES),
    (C, 401, openai("Incorrect API key provided", code="invalid_api_key"), LOGIN, 30 * MINUTES),
    (G, 400, gemini(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
     LOGIN, 30 * MINUTES),
    (G, 403, gemini(403, "PERMISSION_DENIED", "Consumer has been suspended."), LOGIN, 30 * MINUTES),
    (A, 400, anthropic("invalid_request_error", "This organization has been disabled."), LOGIN, 30 * MINUTES),
    # Money.
    (A, 400, anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
     ACCOUNT, 30 * MINUTES),
    (A, 402, anthropic("invalid_request_error", "Pay."), ACCOUNT, 30 * MINUTES),
    (A, 400, anthropic("invalid_request_error", "You're out of extra usage. Add more at claude.ai."),
     ACCOUNT, 30 * MINUTES),
    (C, 400, openai("Access denied, please make sure your account is in good standing.", code="Arrearage"),
     ACCOUNT, 30 * MINUTES),
    (C, 403, openai("Sorry, your account balance is insufficient"), ACCOUNT, 30 * MINUTES),
    (C, 400, openai("This model is only supported in v1/responses and not in v1/chat/completions."),
     MODEL, 30 * MINUTES),
    (C, 429, openai("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
     ACCOUNT, 30 * MINUTES),
    (C, 402, openai("Insufficient Balance"), ACCOUNT, 30 * MINUTES),
    # Limits.
    (A, 429, anthropic("rate_limit_error", "too fast"), MODEL, 1),
    (R, 429, openai("The usage limit has been reached", type="usage_limit_reached"), ACCOUNT, 1),
    (R, 500, openai("Selected model is at capacity. Please try a different model."), BUSY, 1),
    # The vendor.
    (A, 529, anthropic("overloaded_error", "Overloaded"), BUSY, 10),
    (C, 503, openai("The engine is overloaded"), BUSY, MINUTES),
    (A, 500, anthropic("api_error", "Internal server error"), MODEL, MINUTES),
    (C, 502, "<html><title>502 Bad Gateway</title>", MODEL, MINUTES),
    (C, 524, "", MODEL, MINUTES),
    (C, 408, openai("timeout"), MODEL, MINUTES),
    (A, 403, anthropic("permission_error", "You may not use this."), MODEL, 30 * MINUTES),
    (A, 405, "Method Not Allowed", MODEL, 30 * MINUTES),
    (C, 501, openai("Not implemented"), TRY_NEXT, 0),
    (C, 418, openai("teapot"), TRY_NEXT, 0),
    (C, 403, "<html><title>Just a moment...</title>", MODEL, 10),
]  # fmt: skip


@each(("dialect", "status", "body", "action", "cooldown"), CASES)
def test_table(dialect, status, body, action, cooldown):
    """Each kind of refusal, in the vendors' own words, has its consequence."""
    found = verdict(dialect, status, body)
    assert (found.action, found.cooldown) == (action, cooldown), found.reason
    assert found.try_next == (action is not CLIENT)


def test_every_rule_is_reached():
    """No row of the table is hidden behind the others."""
    met = set()
    for dialect, status, body, _, _ in [
        *CASES,
        (C, 403, openai("api key expired"), None, None),
        (C, 403, openai("please check your billing details"), None, None),
    ]:
        error = DIALECTS[dialect].parse_error(status, {}, body.encode())
        text = f"{error.code or ''}\n{error.message}\n{body}\n"
        met.add(next(i for i, rule in enumerate(RULES) if rule.fits(status, error.kind, text)))
    assert [rule for number, rule in enumerate(RULES) if number not in met] == []


@pytest.mark.parametrize(
    ("dialect", "body", "headers", "hint"),
    [
        (A, anthropic("rate_limit_error", "x"), {}, None),
        (A, anthropic("rate_limit_error", "x"), {"retry_after": "77"}, 77),
        (A, anthropic("rate_limit_error", "x"), {"retry_after_ms": "1500"}, 1.5),
        (A, anthropic("rate_limit_error", "x"),
         {"retry_after": "Tue, 14 Nov 2023 22:14:20 GMT", "date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 60),
        (A, anthropic("rate_limit_error", "x"),
         {"anthropic_ratelimit_tokens_remaining": "0",
          "anthropic_ratelimit_tokens_reset": "2023-11-14T22:14:20Z",
          "anthropic_ratelimit_requests_remaining": "9",
          "anthropic_ratelimit_requests_reset": "2023-11-14T23:14:20Z"}, 60),
        # A vendor whose clock is an hour ahead of ours, or ours an hour behind.
        (A, anthropic("rate_limit_error", "x"),
         {"anthropic_ratelimit_tokens_remaining": "0", "date": "Tue, 14 Nov 2023 23:13:20 GMT",
          "anthropic_ratelimit_tokens_reset": "2023-11-14T23:14:20Z"}, 60),
        (C, openai("x"), {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}, 360),
        (C, openai("x"), {"x_ratelimit_remaining_requests": "5", "x_ratelimit_reset_requests": "6m0s"}, None),
        (C, openai("Rate limit reached. Please try again in 1m7.66s."), {}, 67.66),
        (R, openai("x", type="usage_limit_reached", resets_in_seconds=4000), {"retry_after": "5"}, 4000),
        (R, openai("x", type="usage_limit_reached", resets_at=WALL + 90), {}, 90),
        (R, openai("x", type="usage_limit_reached", resets_at=WALL - 90), {}, 0),
        (G, gemini(429, "RESOURCE_EXHAUSTED", "x",
                   {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}), {}, 31),
        (G, gemini(429, "RESOURCE_EXHAUSTED", "x", {"metadata": {"quotaResetDelay": "1h2m3.5s"}}),
         {}, 3723.5),
        (G, gemini(429, "RESOURCE_EXHAUSTED", "Your quota will reset after 45s."), {}, 45),
    ],
)  # fmt: skip
def test_hints(dialect, body, headers, hint):
    """The vendors' many ways to say how long are all understood."""
    found = verdict(dialect, 429, body, **headers)
    assert found.hint == (None if hint is None else pytest.approx(hint))
    assert found.is_quota


def test_words_are_kept_short():
    """What the vendor said goes along, in one line of bounded length."""
    assert verdict(A, 500, anthropic("api_error", "a\n" * 5000)).vendor_message.startswith("500: a a a")
    assert len(verdict(A, 500, anthropic("api_error", "a" * 5000)).vendor_message) < 250


def test_no_answer():
    """Without an answer the way there, or the time it took, is what rests."""
    assert classify_fault(Unreachable.of("unavailable", "x")).action is ACCOUNT
    assert classify_fault(UpstreamTimeout.of("timeout", "x")).reason == "did not answer in time"
    assert classify_fault(TruncatedStream()).action in COOLDOWNS


def test_logins_are_renewed():
    """A refused login names the command that renews it; a refused key is to be replaced."""
    key = Account(label="a", kind="claude", dialect=A, base_url="https://a.test", api_key=Secret("k"))
    login = replace(key, kind="claude-login", token=object())
    refused = verdict(A, 401, anthropic("authentication_error", "expired"))
    assert for_account(refused, key) == refused
    assert for_account(refused, login).suggestion == "run: ampproxy login claude"
    limited = verdict(A, 429, anthropic("rate_limit_error", "slow"))
    assert for_account(limited, login) == limited


@pytest.mark.parametrize("dialect", [A, C, R, G])
@pytest.mark.parametrize("word", ["input token count ", "model/", "-eyJ", "model ", "store ", "file "])
def test_long_words_are_not_searched_to_their_end(dialect: str, word: str) -> None:
    """A vendor that answers with a page of words made up to be slow to search costs no more than a few
    milliseconds, and a sentence at the beginning of a page counts as before.
    """
    page = word * (1_000_000 // len(word))
    for body in (
        openai(page),
        anthropic("invalid_request_error", page),
        gemini(400, "INVALID_ARGUMENT", page),
    ):
        within(0.25, partial(verdict, dialect, 400, body))
    vendor_message = openai("prompt is too long: 300000 tokens. " + page)
    assert verdict(dialect, 400, vendor_message).action is CLIENT
