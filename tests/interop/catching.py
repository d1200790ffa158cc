"""A program for the reference library: brings about one situation and prints which except clause it reached.

Run by the interpreter that has the reference library, or by `python -m rexec.sipyco` with ours in its place.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sipyco import pyon
from sipyco.broadcast import Receiver
from sipyco.pc_rpc import AsyncioClient, AutoTarget, Client
from sipyco.sync_struct import Subscriber
from sipyco.tools import SimpleSSLConfig

LOCAL = "127.0.0.1"
UNKNOWN = "no-such-host.invalid"


@contextlib.contextmanager
def server(talk: Callable[[socket.socket], None], context: Any = None) -> Iterator[int]:
    """Run a server that says what `talk` says to each connection, and closes it then."""
    listener = socket.create_server((LOCAL, 0))

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(150)
                with contextlib.suppress(OSError), connection:
                    talk(connection if context is None else context.wrap_socket(connection, server_side=True))

    threading.Thread(target=run, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def line(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        found += connection.recv(1) or b"\n"
    return found


def greets(*targets: str) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        line(connection)
        greeting = {"targets": list(targets), "description": None, "features": ["pyon_v2"]}
        connection.sendall(json.dumps(greeting).encode() + b"\n")
        modern = b"pyon_v2" in line(connection)
        connection.sendall(b'{"__jsonclass__":["set",[["hold"]]]}\n' if modern else b'{"hold"}\n')
        line(connection)  # the call, during which this server ends

    return talk


def silent(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def closes(connection: socket.socket) -> None:
    line(connection)


def connect(kind: str, host: str, port: int, ssl_config: Any = None) -> Any:
    if kind == "Client":
        return Client(host, port, AutoTarget, ssl_config=ssl_config)

    async def run() -> None:
        if kind == "AsyncioClient":
            client = AsyncioClient()
            await client.connect_rpc(host, port, AutoTarget, ssl_config)
            await client.hold()
        elif kind == "Subscriber":
            await Subscriber("x", lambda struct: struct).connect(host, port, ssl_config=ssl_config)
        else:
            await Receiver("x", print).connect(host, port, ssl_config=ssl_config)

    return asyncio.run(run())


def refused(kind: str) -> None:
    with socket.socket() as held:  # bound, so that nobody else gets the port and listens there
        held.bind((LOCAL, 0))
        connect(kind, LOCAL, held.getsockname()[1])


def unknown_host(kind: str) -> None:
    connect(kind, UNKNOWN, 3250)


def ends_during_a_call(kind: str) -> None:
    with server(greets("a")) as port:
        client = connect(kind, LOCAL, port)
        client.hold()


def closes_at_once(kind: str) -> None:
    with server(closes) as port:
        connect(kind, LOCAL, port)


def several_targets(kind: str) -> None:
    with server(greets("a", "b")) as port:
        connect(kind, LOCAL, port)


def silent_server() -> None:
    with server(silent) as port:
        Client(LOCAL, port, AutoTarget, timeout=0.5)


def silent_during_a_call() -> None:
    def talk(connection: socket.socket) -> None:
        greets("a")(connection)
        silent(connection)

    with server(talk) as port:
        Client(LOCAL, port, AutoTarget, timeout=0.5).hold()


def tls(kind: str, own: str, key: str, peer: str, server_cert: str, server_trusts: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_cert + ".pem", server_cert + ".key")
    context.load_verify_locations(server_trusts + ".pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with server(greets("a"), context) as port:
        connect(kind, LOCAL, port, SimpleSSLConfig(own + ".pem", key + ".key", peer + ".pem"))


def no_pyon(text: str) -> None:
    pyon.decode(text)


def main() -> None:
    situation, *arguments = sys.argv[1:]
    try:
        globals()[situation](*arguments)
        reached = "none"
    except ssl.SSLCertVerificationError:
        reached = "ssl.SSLCertVerificationError"
    except ssl.SSLError:
        reached = "ssl.SSLError"
    except socket.gaierror:
        reached = "socket.gaierror"
    except ConnectionRefusedError:
        reached = "ConnectionRefusedError"
    except TimeoutError:
        reached = "TimeoutError"
    except (EOFError, BrokenPipeError, ConnectionResetError):
        reached = "EOFError"
    except json.JSONDecodeError:
        reached = "json.JSONDecodeError"
    except ValueError:
        reached = "ValueError"
    except OSError as error:
        reached = f"OSError ({error})"
    except Exception as error:
        reached = f"{type(error).__name__} ({error})"
    print(reached)


if __name__ == "__main__":
    main()
