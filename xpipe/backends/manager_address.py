"""Where a manager listens: the path of a UNIX socket, or an IPv4 host and a port."""

from __future__ import annotations

import ipaddress

from xpipe.core.errors import BackendError

Address = str | tuple[str, int]

KEY_BYTES = 32
"""The least length of the key of a manager that other hosts can reach."""


def parse(text: str | tuple[str, int]) -> Address:
    """A pair of host and port, `host:port`, or anything else as the path of a socket. Raises BackendError."""
    if not isinstance(text, str):
        text = ":".join(map(str, text))
    host, colon, port = text.rpartition(":")
    if not colon or "/" in text:
        return text
    if not host or ":" in host or not port.isdecimal() or int(port) > 65535:
        raise BackendError(f"{text} is no address of a manager; give host:port (IPv4) or the path of a socket")
    return host, int(port)


def show(address: Address) -> str:
    """The inverse of `parse`."""
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"


def is_local(address: Address) -> bool:
    """Whether only this host can reach `address`."""
    if isinstance(address, str) or address[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


def check_bind(address: Address, key: bytes) -> None:
    """Raises BackendError when other hosts could reach a manager at `address` and `key` is too short for that."""
    if not is_local(address) and len(key) < KEY_BYTES:
        raise BackendError(
            f"a manager at {show(address)} can be reached from other hosts and needs a key of at least {KEY_BYTES} "
            "bytes; set manager_authkey, or bind to 127.0.0.1"
        )


def as_key(key: str | bytes | None) -> bytes:
    """`key` as bytes, b"" for none."""
    return key.encode() if isinstance(key, str) else key or b""
