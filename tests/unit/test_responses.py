"""What is told of a handler that failed."""

from __future__ import annotations

from pathlib import Path

import xpipe
from xpipe.config.code import load_object
from xpipe.core.organism import CodeRef
from xpipe.runtime.responses import describe


def test_frames_of_xpipe_are_left_out_of_every_exception_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def fail():\n    raise KeyError('deep')\nfail()\n")
    try:
        load_object(CodeRef(str(tmp_path), "broken.py", "anything"))
    except Exception as error:
        told = describe(error).traceback

    assert "broken.py" in told
    assert "KeyError: 'deep'" in told
    assert str(Path(xpipe.__file__).parent) not in told
    assert "importlib" not in told
