"""
API keys, tokens, passwords and private keys.

Keys with a known prefix are told by the prefix and the length that their issuers
document. Anything else that is secret looks like any other string, so it is looked
for only where its place says so: in the user part of a URL, behind ``Bearer``, or
behind a name such as ``password=`` and then only when it is hard to guess (several
kinds of characters, enough entropy), so that ``token: string`` and
``password=get_password()`` stay as they are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import Reading

#: What a key starts with -> its detector's name and what follows. A key starts where no word goes on.
PREFIXES = {
    "AKIA": ("aws", r"[0-9A-Z]{16}"),
    "ASIA": ("aws", r"[0-9A-Z]{16}"),
    "AIza": ("google", r"[\w-]{35}"),
    "ya29.": ("google", r"[\w.-]{20,1000}"),
    "GOCSPX-": ("google", r"[\w-]{20,60}"),
    "ghp_": ("github", r"[0-9A-Za-z]{30,255}"),
    "gho_": ("github", r"[0-9A-Za-z]{30,255}"),
    "ghu_": ("github", r"[0-9A-Za-z]{30,255}"),
    "ghs_": ("github", r"[0-9A-Za-z]{30,255}"),
    "ghr_": ("github", r"[0-9A-Za-z]{30,255}"),
    "github_pat_": ("github", r"\w{22,255}"),
    "glpat-": ("gitlab", r"[\w.-]{20,300}"),
    "xox": ("slack", r"[abceoprs](?:\.[\w-]+)?-[\w-]{10,250}"),
    "xapp-": ("slack", r"[\w-]{10,250}"),
    "sk-": ("model_api", r"(?=[\w-]*[0-9])[\w-]{20,255}"),
    "sk_live_": ("stripe", r"[0-9A-Za-z]{10,255}"),
    "sk_test_": ("stripe", r"[0-9A-Za-z]{10,255}"),
    "rk_live_": ("stripe", r"[0-9A-Za-z]{10,255}"),
    "whsec_": ("stripe", r"[0-9A-Za-z+/=]{20,255}"),
    "gsk_": ("groq", r"[0-9A-Za-z]{20,255}"),
    "xai-": ("xai", r"[0-9A-Za-z]{20,255}"),
    "nvapi-": ("nvidia", r"[\w-]{20,255}"),
    "hf_": ("huggingface", r"[0-9A-Za-z]{30,255}"),
    "npm_": ("npm", r"[0-9A-Za-z]{36}"),
    "pypi-": ("pypi", r"[\w-]{50,1000}"),
    "SG.": ("sendgrid", r"[\w-]{16,32}\.[\w-]{16,64}"),
    "dapi": ("databricks", r"[0-9a-f]{32}(?:-[0-9])?"),
    "dop_v1_": ("digitalocean", r"[0-9a-f]{64}"),
    "shpat_": ("shopify", r"[0-9a-fA-F]{32}"),
    "hvs.": ("vault", r"[\w-]{20,300}"),
    "eyJ": ("jwt", r"[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"),
}
SLACK_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/)(?:services|workflows)/[\w/-]{20,200}")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
PRIVATE_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}-----")
PRIVATE_KEY_BODY = re.compile(r"[\w+/=\s:,]*+")
URL_PASSWORD = re.compile(r"://[^\s/:@\"'<>]{0,128}:([^\s/\"'<>]{1,256})@")
BEARER = re.compile(
    r"(?:bearer[ \t]{1,3}(?=[\w.~+/=-]*[0-9=])([\w.~+/-]{16,4096}={0,2})"
    r"|basic[ \t]{1,3}(?=[\w+/=]*[0-9=])([0-9a-z+/]{16,4096}={0,2}))(?![\w.~-])"
)

#: What a name ends with -> whether any value behind it is secret, or only one that is hard to guess.
KEY_NAMES = {
    "password": True,
    "passwd": True,
    "pwd": True,
    "passphrase": True,
    "secret": True,
    "token": False,
    "credential": False,
    "authorization": False,
    "sig=": False,
    "key": False,
}
KEY_BEFORE = re.compile(r"(?:api|access|account|auth|private|encryption|signing|shared|master|secret)[ _-]?$")
ASSIGNMENT = re.compile(
    r"(?P<suffix>[\w-]{0,24})[\"'\]]{0,12}[ \t]{0,4}(?:=>|:=|==|=|:|,(?= ?[\"']))[ \t]{0,4}"
    r"(?:\"{1,12}(?P<double>(?:[^\"\\\n]|\\.){6,512}+)\"|'{1,12}(?P<single>(?:[^'\\\n]|\\.){6,512}+)'"
    r"|[\"']{0,12}(?:(?:bearer|basic|token) )?(?P<bare>(?:(?!&\w+=)[^\s\"'\\]){6,512}+))",
    re.IGNORECASE,
)
# token_count=..., secret_name: what follows is about the secret, not the secret.
HARMLESS_SUFFIX = re.compile(
    r"(?:^|[_-])(?:name|id|type|count|url|uri|file|path|field|column|ref|arn|version|limit|budget|length|size|policy|expir\w*"
    r"|in|out|used|usage|rotation|manager|words?|min|max|error)s?$"
)
# Words and references that stand where a secret would.
NOT_A_VALUE = re.compile(
    r"(?:none|null|nil|true|false|string|str|text|varchar\w*|required|optional|changeme|example|redacted|hidden|empty"
    r"|undefined|unknown|missing|default|password|secret|token|[x*.#•-]+|<.*>|\{.*\}|\$\{[^}]*\}|\$\([^)]*\)"
    r"|\$[A-Z_]+|%\(\w+\)s|%s|\.{0,2}/(?:[a-z._-]+/)*[a-z._-]+|https?:.*|os\.environ.*|env[.:].*|self\..*|settings\..*|config\..*)",
    re.IGNORECASE | re.DOTALL,
)
CODE = re.compile(r"[A-Za-z_][\w.]*(?:\([^()]*\)(?:\.[\w.]+)?|\(|\[[^\[\]]*\]|\[)[,;:.)]*")
MIN_ENTROPY_BITS = 3.0
MIN_WEAK_CHARS = 12


def credentials(reading: Reading) -> Iterator[Finding]:
    """Find secrets, in whole or at the place that gives them away."""
    text = reading.plain
    yield from _prefixed(text)
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    if "://" in text and "@" in text:
        for match in URL_PASSWORD.finditer(text):
            yield Finding(*match.span(1), "secret", "secret:url", contextual=True)
    if "bearer " in reading.lower or "basic " in reading.lower:
        for match in BEARER.finditer(reading.lower):
            yield Finding(*match.span(match.lastindex or 0), "secret", "secret:bearer", contextual=True)
    yield from _named(reading)


def _prefixed(text: str) -> Iterator[Finding]:
    for prefix, (issuer, rest) in PREFIXES.items():
        if prefix in text:
            for match in re.finditer(
                rf"{re.escape(prefix)}(?<![\w-]{'.' * len(prefix)}){rest}(?![0-9A-Za-z])", text
            ):
                yield Finding(match.start(), match.end(), "secret", f"secret:{issuer}")
    if "hooks.slack.com" in text:
        for match in SLACK_WEBHOOK.finditer(text):
            yield Finding(match.start(), match.end(), "secret", "secret:slack")


def _private_keys(text: str) -> Iterator[Finding]:
    at = 0
    while begin := PRIVATE_KEY.search(text, at):
        end = PRIVATE_KEY_END.search(text, begin.end())
        if end is None:
            # Cut short: all that still looks like key material, for this one and those behind it.
            for cut in PRIVATE_KEY.finditer(text, begin.start()):
                body = PRIVATE_KEY_BODY.match(text, cut.end())
                yield Finding(cut.start(), body.end() if body else cut.end(), "secret", "secret:private_key")
            return
        at = end.end()
        yield Finding(begin.start(), at, "secret", "secret:private_key")


def _named(reading: Reading) -> Iterator[Finding]:
    for name, strict in KEY_NAMES.items():
        at = reading.lower.find(name)
        while at >= 0:
            end = at + len(name)
            if name != "key" or KEY_BEFORE.search(reading.lower, max(0, at - 11), at):
                yield from _assigned(reading.plain, end, strict=strict)
            at = reading.lower.find(name, end)


def _assigned(text: str, at: int, *, strict: bool) -> Iterator[Finding]:
    match = ASSIGNMENT.match(text, at - (text[at - 1] == "="))
    if match is None or HARMLESS_SUFFIX.search(match["suffix"].lower()):
        return
    group = next(one for one in ("double", "single", "bare") if match[one] is not None)
    if hard_to_guess(match[group], strict=strict, quoted=group != "bare"):
        yield Finding(*match.span(group), "secret", "secret:named", contextual=True)


def hard_to_guess(value: str, *, strict: bool, quoted: bool) -> bool:
    """
    Say whether what stands behind a name is a secret rather than a word about one.

    :param strict: the name is a password's: less is asked of the value.
    :param quoted: the value stands in quotation marks, so it is no variable's name.
    """
    if not quoted and CODE.fullmatch(value):
        return False
    value = value.rstrip(".:?,;)]}>")
    if NOT_A_VALUE.fullmatch(value) or any(character.isspace() for character in value):
        return False
    if strict:
        # Bare words behind a password's name are mostly names of variables.
        return quoted or any(not (character.isalpha() or character in "-_./:") for character in value)
    letters = any(character.isalpha() for character in value)
    digits = any(character.isdigit() for character in value)
    return len(value) >= MIN_WEAK_CHARS and letters and digits and _entropy_bits(value) >= MIN_ENTROPY_BITS


def _entropy_bits(value: str) -> float:
    """Give the Shannon entropy of a value's characters, in bits a character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
