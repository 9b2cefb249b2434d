"""A server that accepts a connection and then says nothing, or does not speak TLS, is given up on in seconds."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis_server

from xpipe.backends import redis_link
from xpipe.backends.redis import RedisBackend
from xpipe.backends.redis_link import Link
from xpipe.core.errors import BackendError

pytestmark = [
    pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER),
    pytest.mark.timeout(20),  # An answer is waited for much longer.
]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Of a socket that lets others connect, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_link, "HANDSHAKE_TIMEOUT", 0.5)


def assert_given_up_on(url: str, told: str) -> None:
    backend = RedisBackend(url, "x:")
    with pytest.raises(BackendError, match=rf"127\.0\.0\.1:\d+.*: {told}.*correct backend\.redis_url") as caught:
        backend.open("org", 10)
    assert "s3cret" not in str(caught.value)
    backend.close()


@pytest.mark.slow
def test_a_server_that_never_says_anything_is_given_up_on(silent_port: int) -> None:
    assert_given_up_on(f"redis://127.0.0.1:{silent_port}", "no Redis server answers")


@pytest.mark.usefixtures("impatient")
def test_a_tls_server_that_never_says_anything_is_given_up_on(silent_port: int) -> None:
    assert_given_up_on(f"rediss://:s3cret@127.0.0.1:{silent_port}", "no Redis TLS server answers")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("rest", ["/4", "?lib_name=&lib_version=", "?protocol=3"])
def test_it_does_not_matter_what_is_said_first(silent_port: int, rest: str) -> None:
    assert_given_up_on(f"redis://me:s3cret@127.0.0.1:{silent_port}{rest}", "no Redis server answers")
    assert_given_up_on(f"redis://127.0.0.1:{silent_port}{rest}", "no Redis server answers")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_does_not_speak_tls_is_given_up_on(redis_shared: redis_server.Server) -> None:
    assert_given_up_on(redis_shared.tcp.replace("redis:", "rediss:"), "no Redis TLS server answers")


@pytest.mark.usefixtures("impatient")
def test_an_answer_is_waited_for_longer_than_a_handshake(redis_shared: redis_server.Server) -> None:
    link = Link(redis_shared.tcp, "x:", 0)

    assert link.send("BLPOP", "nothing", 1) is None

    link.close()


def test_the_url_says_for_how_long_an_answer_is_waited_for(redis_shared: redis_server.Server) -> None:
    link = Link(f"{redis_shared.tcp}?socket_timeout=0.3", "x:", 0)

    with pytest.raises(BackendError, match=r"no Redis server answers \(it has been silent for 0\.3 s\)"):
        link.send("BLPOP", "nothing", 5)

    link.close()
