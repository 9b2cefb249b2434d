"""What is kept where: a retention that the backend does not honour is a finding."""

from __future__ import annotations

import pytest

HEAD = "organism: x\nlisteners:\n  - name: a\n    handler: handlers.greet\nbackend: "
HINT = "what is over would be gone before. Set redis_ttl to at least as much, or to 0 for ever."

CASES = {
    "{type: redis, retention: 1h}": [],
    "{type: redis, redis_ttl: 1h}": [],
    "{type: redis, redis_ttl: 7d, retention: 7d}": [],
    "{type: redis, redis_ttl: 0, retention: 365d}": [],
    "{type: sqlite, path: x.db, redis_ttl: 1h, retention: 7d}": [],
    "{retention: 7d}": [],
    "{type: redis, redis_ttl: 1h, retention: 7d}": [
        f"5:50: error[retention-beyond-ttl]: retention is longer than redis_ttl: {HINT}"
    ],
    "{type: redis, retention: 7d}": [
        f"5:35: error[retention-beyond-ttl]: retention is longer than redis_ttl (24h if left out): {HINT}"
    ],
}


@pytest.mark.parametrize("backend", CASES)
def test_a_retention_longer_than_redis_keeps_anything_is_a_finding(findings, backend):
    assert findings(HEAD + backend) == CASES[backend]
