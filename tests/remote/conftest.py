"""A controller of each make, and its connected client, for the tests that every make must pass."""

from collections.abc import Iterator

import pytest

import rexec.remote
from rexec.remote import Remote
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import MAKES, controller


@pytest.fixture(scope="module", params=MAKES)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with controller(request.param) as port:
        yield port


@pytest.fixture
def remote(port: int) -> Iterator[Remote]:
    with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote:
        yield remote
