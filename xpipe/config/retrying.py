"""The `retry:` sections of listeners and steps."""

from __future__ import annotations

import re
from typing import Any

from xpipe.config.kinds import texts_in
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import did_you_mean, quote
from xpipe.core.retry import ASKED_AGAIN, REJECTED, RETRIED, RetryPolicy

FAULT_CODES = (
    *RETRIED, ASKED_AGAIN, REJECTED, "ambiguous_payload", "bad_payload", "bad_response", "cancelled",
    "conversation_timeout", "damaged_message", "fan_out_too_wide", "forbidden_file", "forbidden_peer", "no_answer",
    "no_items", "payload_too_large", "pump_lost", "too_deep", "too_few_successes", "too_many_hops", "too_many_slots",
    "unaccepted_reply", "unknown_target", "unknown_type", "unreadable_items",
)  # fmt: skip
_NAMES = ("on", "never")
_CLASS_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_LIKE_A_CODE = re.compile(r"[a-z]+(?:[_-][a-z]+)*|[A-Z]+(?:[_-][A-Z]+)+|\w+-[\w-]+", re.ASCII)
"""How nobody names an exception class; `Timeout` and `socket.timeout` may well be some."""


def retry_policy(entry: Entry | None) -> RetryPolicy | None:
    """The policy that a retry section declares."""
    if entry is None:
        return None
    values: dict[str, Any] = dict(entry.values)
    for key in _NAMES:
        if key in values:
            values[key] = tuple(name.strip() for _, name in texts_in(entry.nodes[key]))
    return RetryPolicy(**values)


def check_retries(listeners: list[Entry], report: Report) -> None:
    """Reports names that are no fault codes and look like them, and pauses that contradict each other."""
    for entry in listeners:
        for one in (entry, *entry.values.get("sequence", ())):
            if "retry" in one.values:
                _check_names(one.values["retry"], report)
                _check_pauses(one.values["retry"], report)


def _check_names(entry: Entry, report: Report) -> None:
    for key in _NAMES:
        for place, text in texts_in(entry.nodes[key]) if key in entry.nodes else ():
            name = text.strip()
            if name in FAULT_CODES:
                continue
            near = did_you_mean(name.replace("-", "_"), FAULT_CODES) if _LIKE_A_CODE.fullmatch(name) else ""
            if near or not _CLASS_NAME.fullmatch(name):
                message = f"{quote(name)} is neither a fault code nor the name of an exception class."
                report.add(place, "unknown-code", message, near)


def _check_pauses(entry: Entry, report: Report) -> None:
    policy = retry_policy(entry)
    assert policy is not None
    if policy.backoff > policy.max_backoff:
        known = "" if "max_backoff" in entry.values else f" ({policy.max_backoff:g}s if left out)"
        message = f"backoff is longer than max_backoff{known}, and no pause is."
        report.add(entry.place("backoff"), "backoff-too-long", message, "Raise max_backoff.")
