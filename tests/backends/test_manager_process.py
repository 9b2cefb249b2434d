"""The manager process: it outlives signals, and nothing outlives it or its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from manager_kit import is_running, start_owner, until

from xpipe.backends.manager import ManagerBackend
from xpipe.backends.manager_files import Runtime, read_runtime, runtime_file, write_runtime
from xpipe.core.errors import BackendError


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def end(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.communicate()


def test_a_killed_owner_leaves_neither_a_process_nor_a_socket() -> None:
    owner, pid, address = start_owner()
    assert is_running(pid)

    end(owner)

    assert until(lambda: not is_running(pid))
    assert until(lambda: not os.path.exists(os.path.dirname(address)))


def test_an_owner_that_closes_leaves_neither_a_process_nor_a_socket() -> None:
    backend = ManagerBackend()
    pid, folder = backend.pid, Path(backend.address).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    backend.close()
    backend.close()

    assert not is_running(pid)
    assert not folder.exists()


def test_signals_of_the_group_are_for_the_owner_alone() -> None:
    backend = ManagerBackend()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(backend.pid, number)

        assert backend.ping() is True
    backend.close()


def test_the_users_main_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('main')\nfrom xpipe.backends.manager import ManagerBackend\nb = ManagerBackend()\nb.ping()\nb.close()\n"
    )

    output = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)

    assert (output.stdout, output.stderr) == ("main\n", "")


def test_a_forked_child_talks_on_connections_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from xpipe.backends.manager import ManagerBackend\n"
        "b = ManagerBackend()\nb.open('org', 9999)\nb.ping()\nchild = os.fork()\n"
        "for n in range(500): b.buffer_append('t', b'x')\n"
        "if not child:\n    b.close()\n    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(b.buffer_thread_len('t'), b.ping())\nb.close()\n"
    )

    output = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)

    assert (output.stdout, output.stderr) == ("1000 True\n", "")


def test_the_key_is_seen_in_no_command_line() -> None:
    backend = ManagerBackend(authkey="a-secret-key")

    assert b"a-secret-key" not in Path(f"/proc/{backend.pid}/cmdline").read_bytes()
    assert b"a-secret-key" not in Path(f"/proc/{backend.pid}/environ").read_bytes()
    backend.close()


def test_the_runtime_file_leads_another_process_to_the_manager(tmp_path: Path) -> None:
    organism = tmp_path / "organism.yaml"
    owner, pid, address = start_owner(str(organism))
    path = runtime_file(organism)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = read_runtime(path)
    assert found is not None
    assert (found.address, found.pid, len(found.key)) == (address, pid, 32)
    client = ManagerBackend.attach(organism)
    client.open(None, 10)
    assert [*client.registry_list_all().values()] == ["system.org"]
    client.close()
    end(owner)

    assert until(lambda: not path.exists()), "it goes with its manager, which goes with its owner"
    with pytest.raises(BackendError, match=r"no run of .* has a manager now"):
        ManagerBackend.attach(organism)


def test_the_runtime_file_goes_with_its_manager(tmp_path: Path) -> None:
    organism = tmp_path / "organism.yaml"
    backend = ManagerBackend(organism_file=organism)
    assert runtime_file(organism).exists()

    backend.close()

    assert not runtime_file(organism).exists()
    with pytest.raises(BackendError, match=r"no run of .* has a manager now"):
        ManagerBackend.attach(organism)


def test_a_second_run_leaves_the_runtime_file_to_the_first(tmp_path: Path) -> None:
    organism = tmp_path / "organism.yaml"
    first, second = (ManagerBackend(organism_file=organism) for _ in range(2))

    second.close()

    client = ManagerBackend.attach(organism)
    assert client.address == first.address
    client.close()
    first.close()


def test_a_run_replaces_the_runtime_file_of_a_manager_that_is_gone(tmp_path: Path) -> None:
    organism = tmp_path / "organism.yaml"
    first = ManagerBackend(organism_file=organism)
    os.kill(first.pid, signal.SIGKILL)
    assert until(lambda: not is_running(first.pid))

    second = ManagerBackend(organism_file=organism)
    first.close()

    client = ManagerBackend.attach(organism)
    assert client.address == second.address
    client.close()
    second.close()


def test_a_runtime_file_that_others_could_have_written_is_not_trusted(tmp_path: Path) -> None:
    path = runtime_file(tmp_path / "organism.yaml")
    write_runtime(path, Runtime("/tmp/socket", b"key", 1))
    path.chmod(0o660)

    with pytest.raises(BackendError, match="not this user's alone"):
        read_runtime(path)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    with pytest.raises(BackendError, match="not this user's alone"):
        read_runtime(path)
    with pytest.raises(BackendError, match="not this user's alone"):
        write_runtime(path, Runtime("/tmp/socket", b"key", 1))


def test_a_damaged_runtime_file_is_one_clear_error(tmp_path: Path) -> None:
    path = runtime_file(tmp_path / "organism.yaml")
    write_runtime(path, Runtime("/tmp/socket", b"key", 1))
    path.write_text("{")

    with pytest.raises(BackendError, match=r"cannot be read .* remove it"):
        read_runtime(path)


def test_every_organism_file_has_a_runtime_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "a" / "organism.yaml", tmp_path / "b" / "organism.yaml"
    monkeypatch.chdir(tmp_path)

    assert runtime_file(one) != runtime_file(other)
    assert runtime_file("a/organism.yaml") == runtime_file(one)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_a_runtime_folder_that_is_not_private_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "shared"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert runtime_file("organism.yaml").parent.parent == tmp_path


def test_without_a_runtime_folder_the_file_is_in_a_private_one_that_nobody_can_make_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"xpipe-{os.getuid()}").mkdir()
    (tmp_path / f"xpipe-{os.getuid()}-0").mkdir(mode=0o777)
    (tmp_path / f"xpipe-{os.getuid()}-0").chmod(0o777)
    (tmp_path / f"xpipe-{os.getuid()}-1").symlink_to(tmp_path)

    path = runtime_file("organism.yaml")
    write_runtime(path, Runtime("socket", b"key", 1))

    assert path.parent.name not in {f"xpipe-{os.getuid()}{end}" for end in ("", "-0", "-1")}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert runtime_file("organism.yaml") == path
