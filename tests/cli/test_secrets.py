"""What looks like a credential is shown nowhere, whatever it stands in the place of."""

from __future__ import annotations

import pytest

from cli.bench import Bench

CANARY = "hush-canary"
URL = f"redis://me:{CANARY}@127.0.0.1:1/0?password={CANARY}"
ORGANISM = """organism: {name: bench}
backend: {type: memory, retention: 1h}
limits: {hops: 10}
process_pool: {workers: 2}
listeners:
  - {name: echo, handler: 'handlers.py:echo', timeout: 1s, peers: [echo], retry: {on: [ValueError]}}
messages:
  - {to: echo, payload: {text: hi}}
"""
PLACES = [
    *(
        "{type: memory, retention: 1h}",
        "memory",
        "1h",
        "10",
        "2",
        "[echo]",
        "1s",
        "'handlers.py:echo'",
    ),
    *("[ValueError]", "{text: hi}", "{to: echo, payload: {text: hi}}", "retention", "hops", "workers", "timeout"),
]


@pytest.mark.parametrize("place", PLACES)
def test_no_place_of_a_file_shows_a_password(bench: Bench, place: str) -> None:
    file = bench.folder / "organism.yaml"
    file.write_text(ORGANISM.replace(place, f"'{URL}'", 1))

    for words in (["check"], ["check", "--json"], ["check", "--format", "github"], ["config"], ["graph"], ["run"]):
        end = bench.run(words[0], file, *words[1:])
        assert CANARY.encode() not in end.stdout + end.stderr, words
        assert end.returncode != 70


@pytest.mark.parametrize(
    "words",
    [
        *(["check", "FILE", "--set", f"{path}={URL}"] for path in ("backend", "backend.type", "limits.hops", "x")),
        *(["run", "FILE", option, URL] for option in ("--input", "--timeout", "--workers", "--format")),
        *(["threads", option, URL] for option in ("--backend", "--url", "--path", "--address", "--authkey-file")),
        ["threads", "--backend", "redis", "--url", URL],
        ["threads", "--backend", "redis", "--url", f"{URL}&ssl_cert_reqs=wrong".replace("redis:", "rediss:")],
        [URL],
    ],
)
def test_no_option_shows_a_password(bench: Bench, words: list[str]) -> None:
    file = bench.folder / "organism.yaml"
    file.write_text(ORGANISM)

    end = bench.run(*(str(file) if word == "FILE" else word for word in words))

    assert CANARY.encode() not in end.stdout + end.stderr
    assert end.returncode in (1, 2, 3, 4)


def test_a_password_in_an_exception_is_not_shown(bench: Bench) -> None:
    end = bench.run("run", bench.organism("broken"), "--send", f'broken={{"text": "{URL}"}}', "--verbose")

    assert end.returncode == 1
    assert CANARY.encode() not in end.stdout.split(b"Registry")[0] + end.stderr
