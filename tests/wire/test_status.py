"""What HTTP statuses become, for every wire alike."""

import time
from email.utils import formatdate

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.exceptions import ModelUnavailable, RateLimited, RequestRejected, TransientError
from airflow_agent_provider.wire.status import require_success, retry_after_s, server_message
from airflow_agent_provider.wire.wire import WireResponse

KEY = "sk-secret-123"
ASK = CallModel((Message("user", "hi"),))

REJECTED = [300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422, 451]
TRANSIENT = [408, 409, 424, 425, 500, 501, 502, 503, 504, 529, 599]


@pytest.mark.parametrize("status", REJECTED)
def test_what_cannot_be_mended_by_asking_again_is_permanent(dialect, response, status):
    """No retry is burnt on it."""
    with pytest.raises(RequestRejected, match=f"HTTP {status}"):
        dialect.wire.decode(response({"error": {"message": "no"}}, status=status), ASK)


@pytest.mark.parametrize("status", TRANSIENT)
def test_what_may_pass_is_transient(dialect, response, status):
    """Airflow's retries apply."""
    with pytest.raises(ModelUnavailable, match=f"HTTP {status}") as caught:
        dialect.wire.decode(response({"error": {"message": "busy"}}, status=status), ASK)
    assert not isinstance(caught.value, RateLimited)


def test_too_many_requests_says_how_long_to_wait(dialect, response):
    """As the server said it."""
    with pytest.raises(RateLimited) as caught:
        dialect.wire.decode(response({}, status=429, headers={"retry-after": "7"}), ASK)
    assert caught.value.retry_after_s == 7


def test_an_overloaded_server_that_names_a_time_is_rate_limiting(dialect, response):
    """503 and 529 come with Retry-After too."""
    with pytest.raises(RateLimited) as caught:
        dialect.wire.decode(response({}, status=503, headers={"retry-after": "3"}), ASK)
    assert caught.value.retry_after_s == 3


def test_googles_waiting_time_stands_in_the_body(dialect, response):
    """Gemini sends no header for it; a header goes first where there is one."""
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    body = {"error": {"code": 429, "message": "Quota exceeded.", "details": [detail]}}
    for headers, wait_s in (({}, 34.5), ({"retry-after": "7"}, 7)):
        with pytest.raises(RateLimited) as caught:
            dialect.wire.decode(response(body, status=429, headers=headers), ASK)
        assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("delay", ["", "s", "-1s", "1e9s", "1234567s", "34", "soon"])
def test_a_strange_waiting_time_in_the_body_counts_as_silence(response, delay):
    """Nothing breaks on it, and nobody waits for a year."""
    with pytest.raises(RateLimited) as caught:
        require_success(response({"error": {"details": [{"retryDelay": delay}]}}, status=429))
    assert caught.value.retry_after_s is None


def test_a_used_up_quota_is_permanent(response):
    """OpenAI sends 429 for it, and waiting brings no money."""
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with pytest.raises(RequestRejected, match="quota"):
        require_success(response(body, status=429))


@pytest.mark.parametrize("status", [200, 201, 299])
def test_success_raises_nothing(response, status):
    """All of 2xx."""
    require_success(response({}, status=status))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:30 GMT"}, 0),
        ({"retry-after": "Sun, 99 Nov 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, expected):
    """Seconds, milliseconds, dates by the server's own clock; nonsense counts as silence."""
    assert retry_after_s(headers) == expected


def test_a_date_without_the_servers_clock_is_held_against_ours():
    """Not every server sends a date header."""
    wait_s = retry_after_s({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert 90 < wait_s <= 100


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "model not found", "type": "x"}}',
        b'{"error": "model not found"}',
        b'{"message": "model not found"}',
        b'{"Message": "model not found"}',
        b'{"object": "error", "message": "model not found"}',
        b'{"detail": "model not found"}',
        b'{"detail": [{"loc": ["body"], "msg": "model not found"}]}',
        b'[{"error": {"message": "model not found"}}]',
        b"model   not\nfound",
        b'"model not found"',
    ],
)
def test_the_servers_own_words_are_found_wherever_they_stand(body):
    """OpenAI, Anthropic, vLLM, FastAPI and plain text servers."""
    assert server_message(body) == "model not found"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"7", b"<html>502</html>", b'{"error": {}}'])
def test_a_body_without_words_gives_none(body):
    """Nothing is made up, and a proxy's page is left out."""
    assert not server_message(body)


def test_the_servers_words_are_bounded(response):
    """A stack trace does not fill the log."""
    for body in ({"error": {"message": "x" * 10_000}}, b"[" * 100_000):
        with pytest.raises(TransientError) as caught:
            require_success(response(body, status=500))
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("start", [0, 280, 290, 299, 400])
def test_no_error_repeats_the_key(dialect, response, status, start):
    """However the server echoes it: whole, at the cut, half masked, in plain text or as the only word."""
    echo = f"{'y' * start}{KEY} or sk-se****-123"
    for body in ({"error": {"message": echo}}, echo.encode(), {"detail": [{"msg": echo}]}):
        with pytest.raises((RequestRejected, TransientError)) as caught:
            dialect.wire.decode(response(body, status=status), ASK, secrets=(KEY,))
        assert KEY not in str(caught.value)
        assert "sk-se" not in str(caught.value)


def test_advice_comes_with_common_refusals(response):
    """What to look at, in the words of the connection form."""
    for status, advice in {401: "password", 404: "base URL", 307: "base URL"}.items():
        with pytest.raises(RequestRejected, match=advice):
            require_success(response({}, status=status))


@pytest.mark.parametrize(
    ("status", "maybe_billed"), [(500, False), (503, False), (529, False), (502, True), (504, True)]
)
def test_a_gateway_that_gave_up_leaves_the_bill_open(status, maybe_billed):
    """The model behind it may have answered; a server that failed itself did not."""
    with pytest.raises(ModelUnavailable) as caught:
        require_success(WireResponse(status, {}, b""))
    assert caught.value.maybe_billed is maybe_billed


def test_a_key_hidden_between_invisible_signs_is_struck():
    """UTF-16 has a NUL between any two letters, a prankster a zero-width space."""
    for body in ("bad key sk-secret-123".encode("utf-16"), "bad key sk-\u200bsecret\u2060-123".encode()):
        assert server_message(body, ("sk-secret-123",)) == "bad key [key]"
