"""The runtime file: where the manager of a run listens, and its key, for the same user's other commands."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from xpipe.core.errors import BackendError


class Runtime(msgspec.Struct):
    """The content of a runtime file."""

    address: str
    key: bytes
    pid: int


def runtime_file(organism_path: str | Path) -> Path:
    """Where the runtime file of the organism file `organism_path` is, whether there is one or not."""
    path = os.path.realpath(organism_path)
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    name = f"{Path(path).stem}-{digest}.json"
    folders = list(_folders())
    return next((one / name for one in folders if (one / name).exists()), (folders or [_new_folder()])[0] / name)


def write_runtime(path: Path, runtime: Runtime) -> None:
    """Write `path`, readable by this user alone. Raises BackendError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _check(path.parent, stat.S_ISDIR)
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(runtime))
    os.replace(draft, path)


def read_runtime(path: Path) -> Runtime | None:
    """What `path` says, None if there is none. Raises BackendError when another user could have written it."""
    try:
        _check(path.parent, stat.S_ISDIR)
        _check(path, stat.S_ISREG)
        return msgspec.json.decode(path.read_bytes(), type=Runtime)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BackendError(f"{path} cannot be read ({error}); remove it and start the run again") from None


def remove_runtime(path: Path, pid: int) -> None:
    """Remove `path` if it leads to the manager `pid`, and not to that of another run."""
    with suppress(BackendError):
        found = read_runtime(path)
        if found is not None and found.pid == pid:
            path.unlink(missing_ok=True)


def _folders() -> Iterator[Path]:
    """Folders for runtime files; folders under /tmp that others own are skipped."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        with suppress(OSError, BackendError):
            _check(Path(base), stat.S_ISDIR)
            yield Path(base, "xpipe")
            return
    for one in sorted(Path(tempfile.gettempdir()).glob(f"{_prefix()}*")):
        with suppress(OSError, BackendError):
            _check(one, stat.S_ISDIR)
            yield one


def _new_folder() -> Path:
    """A folder that nobody can have created first: its name is random."""
    return Path(tempfile.gettempdir(), f"{_prefix()}{secrets.token_hex(8)}")


def _prefix() -> str:
    return f"xpipe-{os.getuid()}-"


def _check(path: Path, kind: object) -> None:
    found = os.lstat(path)
    right_kind = kind(found.st_mode) if callable(kind) else False
    if not right_kind or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise BackendError(f"{path} is not this user's alone, so its content is not trusted; remove it")
