"""How far an input file has been read, so that a run can go on after it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator

from xpipe.core.errors import UsageError, WireError
from xpipe.core.messages import Cursor
from xpipe.wire.documents import Document


def source_name(path: str) -> str | None:
    """The name under which a backend keeps how far `path` has been read; None for what cannot be read again."""
    if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
        return None
    return os.path.realpath(path)


def tracked(
    documents: Iterator[Document | WireError], path: str, name: str, seen: Cursor | None
) -> Iterator[tuple[Document | WireError, Cursor]]:
    """Each document after those that `seen` covers, with the cursor behind it.

    Raises UsageError when the file does not begin with what `seen` has been made from.
    """
    offset, skipped = 0, seen.offset if seen else 0
    fingerprint = hashlib.blake2b(digest_size=16)
    for document in documents:
        offset += 1
        data = document.data if isinstance(document, Document) else b""
        fingerprint.update(b"%d:%b" % (len(data), data))
        if offset > skipped:
            yield document, Cursor(name, fingerprint.hexdigest(), offset)
        elif offset == skipped and seen is not None and seen.fingerprint != fingerprint.hexdigest():
            raise _changed(path, skipped)
    if offset < skipped:
        raise _changed(path, skipped)


def _changed(path: str, documents: int) -> UsageError:
    return UsageError(
        f"--resume --input {path}: it does not begin with the {documents} documents that earlier runs read from it; "
        "put that file back, or run it without --resume to read it from the start"
    )
