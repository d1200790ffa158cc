"""Who may see the page: Host, Origin, token, cookie, and the headers of every answer."""

import contextlib
import html
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from rexec.web.guard import PageGuard, new_token, without_token
from tests.web.served import TOKEN, Served, served


@pytest.fixture(scope="module")
def lab() -> Iterator[Served]:
    with served(with_master=False) as found:
        yield found


def test_nothing_is_served_without_the_token(lab: Served) -> None:
    for path in (
        "/",
        "/live",
        "/runs/1",
        "/log",
        "/static/main.js",
        "/static/plotly.min.js",
        "/api/zoom",
        "/nowhere",
    ):
        status, _, body = lab.ask(path)
        assert (status, body) == (401, b"no token\n"), path


def test_a_person_without_the_token_is_asked_for_it(lab: Served) -> None:
    status, _, body = lab.ask("/runs/7?x=1", accept="text/html,*/*")
    assert status == 401
    assert b'name="token"' in body
    assert b'value="/runs/7?x=1"' in body


def test_a_link_of_another_page_asks_again_from_here(lab: Served) -> None:
    link = {"accept": "text/html", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    status, headers, body = lab.ask("/runs/7", **link)
    assert (status, b'http-equiv="refresh"' in body, b'name="token"' in body) == (401, True, False)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b'name="token"' in lab.ask("/runs/7", **{**link, "sec_fetch_site": "same-origin"})[2]
    assert lab.ask(f"/runs/7?token={TOKEN}", **link)[0] == 303
    assert b'name="token"' in lab.ask("/?token=guess", **link)[2]


def test_the_token_becomes_a_cookie_and_leaves_the_address(lab: Served) -> None:
    status, headers, _ = lab.ask(f"/runs?filter=a&token={TOKEN}")
    assert (status, headers["location"]) == (303, "/runs?filter=a")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    assert TOKEN not in headers["set-cookie"]
    cookie = headers["set-cookie"].partition(";")[0]
    assert lab.ask("/runs", cookie=cookie)[0] == 200
    assert lab.ask(f"/runs?token={TOKEN}", cookie=cookie)[1]["location"] == "/runs"


def test_the_form_admits_with_the_token_alone(lab: Served) -> None:
    origin = lab.address.rstrip("/")
    status, headers, _ = lab.ask("/enter", "POST", f"token={TOKEN}&next=%2Flog", origin=origin)
    assert (status, headers["location"]) == (303, "/log")
    assert lab.ask("/enter", "POST", "token=guess&next=%2Flog", origin=origin)[0] == 401
    assert lab.ask("/enter", "POST", f"token={TOKEN}", origin="https://evil.example")[0] == 403
    assert lab.ask("/enter", "POST", f"token={TOKEN}")[0] == 403


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "https://evil.example", "///evil"])
def test_the_way_back_stays_on_this_server(lab: Served, path: str) -> None:
    body = f"token={TOKEN}&next={path}"
    location = lab.ask("/enter", "POST", body, origin=lab.address.rstrip("/"))[1]["location"]
    assert not urlsplit(location).netloc
    assert location.startswith("/")
    assert not location.startswith("//")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "",
        "[::1",
        "a:b:c",
    ],
)
def test_another_host_is_refused(lab: Served, host: str) -> None:
    assert lab.ask("/", host=host, cookie=lab.cookie())[0] in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:8270", "LOCALHOST:1"])
def test_this_machine_may_have_any_port_as_through_a_tunnel(lab: Served, host: str) -> None:
    assert lab.ask("/", host=host, cookie=lab.cookie())[0] == 200


def test_a_page_elsewhere_may_not_ask(lab: Served) -> None:
    assert lab.ask("/", origin="https://evil.example", cookie=lab.cookie())[0] == 403
    assert lab.ask("/", origin="null", cookie=lab.cookie())[0] == 403
    assert lab.ask("/", origin=f"https://127.0.0.1:{lab.port}", cookie=lab.cookie())[0] == 403


def test_a_connection_needs_origin_and_cookie(lab: Served) -> None:
    upgrade = {
        "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
        "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    origin = lab.address.rstrip("/")
    assert lab.ask("/stream", **upgrade, origin=origin)[0] == 403
    assert lab.ask("/stream", **upgrade, cookie=lab.cookie())[0] == 403
    assert lab.ask("/stream", **upgrade, cookie=lab.cookie(), origin="https://evil.example")[0] == 403
    assert lab.ask("/stream", **upgrade, cookie=lab.cookie(), origin=origin, host="evil.example")[0] == 403


def test_every_answer_says_what_a_browser_may_do(lab: Served) -> None:
    for path, cookie in (
        ("/", ""),
        ("/", lab.cookie()),
        ("/static/main.js", lab.cookie()),
        ("/nowhere", lab.cookie()),
    ):
        _, headers, _ = lab.ask(path, cookie=cookie)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../pyproject.toml",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
    ],
)
def test_no_path_leaves_the_files_of_the_page(lab: Served, path: str) -> None:
    assert lab.ask(path, cookie=lab.cookie())[0] in (404, 405)


def test_an_unchanged_file_is_not_sent_again(lab: Served) -> None:
    cookie = lab.cookie()
    tag = lab.ask("/static/plotly.min.js", cookie=cookie)[1]["etag"]
    status, _, body = lab.ask("/static/plotly.min.js", cookie=cookie, if_none_match=tag)
    assert (status, body) == (304, b"")


def test_a_large_body_is_cut(lab: Served) -> None:
    status, _, _ = lab.ask("/enter", "POST", "token=" + "x" * 3_000_000, origin=lab.address.rstrip("/"))
    assert status == 401


def test_two_servers_have_cookies_of_their_own() -> None:
    token = new_token()
    one, other = (PageGuard(token, frozenset(), is_tls=False, port=port) for port in (1, 2))
    assert one.cookie != other.cookie
    assert not one.is_admitted({other.cookie: "x"})
    name, _, value = one.set_cookie().partition(";")[0].partition("=")
    assert one.is_admitted({name: value})
    assert not one.is_admitted({name: value[:-1] + "g"})
    assert not one.is_admitted({name: "\udce9"})


def test_tls_makes_the_cookie_secure() -> None:
    assert "; Secure" in PageGuard("x", (), is_tls=True, port=1).set_cookie()


def test_names_beside_those_of_this_machine() -> None:
    guard = PageGuard("x", frozenset({"lab.example"}), is_tls=False, port=1)
    assert guard.is_our_host("lab.example:80")
    assert not guard.is_our_host("192.168.1.2")
    guard = PageGuard("x", ["Lab.example", "2001:DB8::0001"], any_address=True, is_tls=False, port=1)
    assert guard.is_our_host("192.168.1.2:1")
    assert guard.is_our_host("lab.example")
    assert not guard.is_our_host("evil.example")


@pytest.mark.parametrize("host", ["[2001:db8::1]:8270", "[2001:DB8:0::1]", "192.168.1.2", "LAB1:80"])
def test_an_address_may_be_written_in_any_way(host: str) -> None:
    guard = PageGuard("x", ["2001:DB8:0:0::1", "192.168.1.2", "Lab1"], is_tls=False, port=1)
    assert guard.is_our_host(host)
    assert not guard.is_our_host("[2001:db8::2]:8270")


def test_an_address_without_its_token() -> None:
    assert without_token("/live?show=a%26b&token=x&filter=") == "/live?show=a%26b&filter="
    assert without_token("/?token=x") == "/"
    assert without_token("//evil.example/?token=x") == "/evil.example/"


ADDRESS = "/devices/a%2Fb%252F?only=used&filter=x%26y"
"""A name with a slash, and one with what would be a slash if it were decoded twice."""


def test_the_token_leads_to_the_address_that_was_asked_for(lab: Served) -> None:
    assert lab.ask(f"{ADDRESS}&token={TOKEN}")[1]["location"] == ADDRESS
    assert lab.ask(f"{ADDRESS}&token={TOKEN}", cookie=lab.cookie())[1]["location"] == ADDRESS
    form = lab.ask(ADDRESS, accept="text/html")[2].decode()
    asked = html.unescape(re.findall('name="next" value="([^"]*)"', form)[0])
    assert asked == ADDRESS
    origin = lab.address.rstrip("/")
    body = urlencode({"token": TOKEN, "next": asked})
    assert lab.ask("/enter", "POST", body, origin=origin)[1]["location"] == ADDRESS
    for evil in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\r\nx: y",
    ):
        found = lab.ask("/enter", "POST", urlencode({"token": TOKEN, "next": evil}), origin=origin)[1]
        assert re.fullmatch(r"/[^/\\\s]\S*", found["location"]), evil


SILENT = (
    b"",
    b"GET / HT",
    b"POST /enter HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Length: 900\r\n\r\ntoken=",
)


@pytest.mark.parametrize("sent", SILENT, ids=["nothing", "half a request", "half a body"])
def test_a_silent_connection_is_closed_and_a_page_is_not(
    sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(with_master=False) as lab:
        host = f"127.0.0.1:{lab.port}".encode()
        with connect(
            f"{lab.address.replace('http', 'ws')}stream",
            additional_headers={"Cookie": lab.cookie()},
            origin=Origin(lab.address.rstrip("/")),
        ) as page:
            # From here on, so that a busy machine does not lose the page before its request is there.
            monkeypatch.setattr("rexec.web.server.SILENCE", 0.05)
            with (
                socket.create_connection(("127.0.0.1", lab.port), 150) as silent,
                contextlib.suppress(ConnectionError),  # it was closed before all was sent
            ):
                silent.sendall(sent.replace(b"%s", host))
                assert silent.recv(1000) == b""
            page.send('{"type": "want", "parts": ["log"]}')
            assert page.recv(100)
    assert "Traceback" not in caplog.text  # anybody could fill the log
