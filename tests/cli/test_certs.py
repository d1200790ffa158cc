"""`rexec certs`: what it makes works, and it overwrites nothing."""

from pathlib import Path

import pytest

from rexec.cli.main import main
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import serving


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
