"""`rexec certs`: what it makes works, and it overwrites nothing."""

import os
from pathlib import Path

import pytest

from rexec.cli.main import main
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.holding import READERS, WRITERS, held, windows
from tests.serving import serving
from tests.waiting import within


class Driver:
    def ping(self) -> bool:
        return True


def test_every_client_of_a_set_is_served_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, foreign = tmp_path / "ours", tmp_path / "foreign"
    assert main(["certs", str(ours), "--client", "desk", "--client", "master"]) == 0
    assert main(["certs", str(foreign)]) == 0
    server = [str(ours / name) for name in ("server.pem", "server.key", "clients.pem")]
    assert f"--ssl {' '.join(Path(name).name for name in server)}" in capsys.readouterr().out
    with serving({"driver": Driver()}, ssl_config=SimpleSSLConfig(*server)) as port:
        for name in ("desk", "master"):
            config = SimpleSSLConfig(str(ours / f"{name}.pem"), str(ours / f"{name}.key"), server[0])
            with Client("127.0.0.1", port, ssl_config=config) as client:
                assert client.ping()
        config = SimpleSSLConfig(str(foreign / "client.pem"), str(foreign / "client.key"), server[0])
        with (
            pytest.raises(WireError, match=str(port)),
            Client("127.0.0.1", port, ssl_config=config) as client,
        ):
            client.ping()


def test_certificates_in_use_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certs", str(tmp_path)]) == 0
    before = (tmp_path / "server.key").read_bytes()
    assert main(["certs", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "server.key").read_bytes() == before


def test_a_name_that_is_no_file_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certs", str(tmp_path), "--client", "a/b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_people_are_added_listed_and_revoked_while_a_server_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    assert main(["certs", str(folder), "--client", "alice"]) == 0
    server = SimpleSSLConfig(*(str(folder / name) for name in ("server.pem", "server.key", "clients.pem")))

    def own(name: str) -> SimpleSSLConfig:
        return SimpleSSLConfig(
            str(folder / f"{name}.pem"), str(folder / f"{name}.key"), str(folder / "server.pem")
        )

    def is_served(port: int, config: SimpleSSLConfig) -> bool:
        try:
            with Client("127.0.0.1", port, ssl_config=config, reconnect_timeout=0.0) as client:
                return bool(client.ping())
        except WireError:
            return False

    capsys.readouterr()
    with serving({"driver": Driver()}, ssl_config=server) as port:
        with Client("127.0.0.1", port, ssl_config=own("alice"), reconnect_timeout=0.0) as alice:
            assert alice.ping()
            assert main(["certs", str(folder), "--add", "bob"]) == 0
            assert "copy that file to each controller's machine" in capsys.readouterr().out
            assert is_served(port, own("bob"))
            assert main(["certs", str(folder), "--list"]) == 0
            assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["alice", "bob"]
            assert main(["certs", str(folder), "--add", "bob"]) == 2
            assert "revoke it first" in capsys.readouterr().err
            (folder / "alice.pem").rename(folder / "former.pem")
            (folder / "alice.key").rename(folder / "former.key")
            assert main(["certs", str(folder), "--revoke", "alice"]) == 0
            assert not is_served(port, own("former"))
            assert within(150, lambda: is_ended(alice))  # an open connection, too
        assert is_served(port, own("bob"))
        assert main(["certs", str(folder), "--add", "alice"]) == 0  # a new one of the same name
        assert is_served(port, own("alice"))
        assert not is_served(port, own("former"))
        for name in ("alice", "bob"):
            assert main(["certs", str(folder), "--revoke", name]) == 0
            assert (folder / f"{name}.key.revoked").exists()
        assert (folder / "clients.pem").read_bytes() == b""
        capsys.readouterr()
        assert main(["certs", str(folder), "--revoke", "bob"]) == 2
        assert "has no certificate of 'bob'; it has: none" in capsys.readouterr().err


def is_ended(client: Client) -> bool:
    try:
        client.ping()
    except WireError:
        return True
    return False


@pytest.mark.parametrize("words", [["--list"], ["--add", "alice"], ["--revoke", "alice"]])
def test_a_folder_without_a_set_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["certs", str(tmp_path), *words]) == 2
    assert "make a set first" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--list"], ["--add", "bob"], ["--revoke", "client"]])
@pytest.mark.parametrize(
    "held", [b"\xff\xfe-", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_file_of_certificates_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], held: bytes
) -> None:
    assert main(["certs", str(tmp_path)]) == 0
    trusted = tmp_path / "clients.pem"
    trusted.write_bytes(held)
    assert main(["certs", str(tmp_path), *words]) == 2
    assert f"{trusted} is damaged" in capsys.readouterr().err
    assert trusted.read_bytes() == held


@pytest.mark.parametrize("name", ["*", "", "a b", "x" * 65])
def test_a_name_that_no_certificate_may_have_is_refused(tmp_path: Path, name: str) -> None:
    assert main(["certs", str(tmp_path / "set"), "--client", name]) == 2
    assert not (tmp_path / "set" / "clients.pem").exists()


@pytest.mark.skipif(os.name != "nt", reason="other systems take these names for files of the folder")
@pytest.mark.parametrize(
    "names", [["con"], ["LPT1"], ["com\u00b9"], ["a:b"], ["what?"], ["Server"], ["Anna", "anna"]]
)
def test_names_that_are_no_files_of_their_own_on_windows_leave_no_part_of_a_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    clients = [word for name in names for word in ("--client", name)]
    assert main(["certs", str(tmp_path / "set"), *clients]) == 2
    assert "name" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has these modes")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    assert main(["certs", str(tmp_path)]) == 0
    names = ("server.pem", "server.key", "clients.pem"), ("client.pem", "client.key", "server.pem")
    server, client = (SimpleSSLConfig(*(str(tmp_path / name) for name in three)) for three in names)
    key = tmp_path / "server.key"
    key.chmod(mode)
    with pytest.raises(PermissionError, match=f"chmod 600 {key}"):
        server.create_server_context()
    key.chmod(0o600)
    with serving({"driver": Driver()}, ssl_config=server) as port:
        (tmp_path / "client.key").chmod(mode)
        with (
            pytest.raises(WireError, match=r"chmod 600 .*client\.key"),
            Client("127.0.0.1", port, ssl_config=client),
        ):
            pass
        (tmp_path / "client.key").chmod(0o400)
        with Client("127.0.0.1", port, ssl_config=client) as connected:
            assert connected.ping()


@windows
@pytest.mark.parametrize("share", [0, READERS | WRITERS])
def test_a_revoked_client_whose_key_a_program_has_open_is_trusted_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], share: int
) -> None:
    folder = tmp_path / "tls"
    assert main(["certs", str(folder), "--client", "alice", "--client", "bob"]) == 0
    with held(folder / "alice.key", share, seconds=1.0), held(folder / "clients.pem", share, seconds=1.0):
        assert main(["certs", str(folder), "--revoke", "alice"]) == 0
    assert (folder / "alice.key.revoked").exists()
    monkeypatch.setattr("devicedb.opening.PATIENCE", 0.1)
    capsys.readouterr()
    with held(folder / "bob.key", share):
        assert main(["certs", str(folder), "--revoke", "bob"]) == 0
    said = capsys.readouterr().out
    assert f"kept as {folder / 'bob.key'}\n" in said
    assert "no longer trusts it" in said
    with held(folder / "clients.pem"):
        assert main(["certs", str(folder), "--list"]) == 2
    assert f"{folder / 'clients.pem'}: Permission denied; close the program" in capsys.readouterr().err
