"""Requests and answers of a pc_rpc client on one connection after the handshake. No I/O."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.wire._framing import Frame
from rexec.wire._pieces import Piece
from rexec.wire._protocol import CALL_IDS, Codec, RemoteFailure, numbered
from rexec.wire._pyon_encode import to_json
from rexec.wire.errors import FormatError, MessageTooLong
from rexec.wire.packed_exceptions import exception_from

_STOCK_LINE_LIMIT: Final = 4 << 20
"""Bytes that a reference server reads in one line; it drops the connection at a longer one."""


@functools.lru_cache(1024)
def _call_head(name: str) -> bytes:
    return b'{"action":"call","name":%b' % to_json(name)


@dataclass(frozen=True)
class Greeting:
    """The server's first line."""

    targets: tuple[str, ...] = ()
    description: str | None = None
    features: frozenset[str] = frozenset()


class Conversation:
    """What client and server have agreed on, and the number of the last request.

    Args:
        where: host:port, for errors; the target is added once it is chosen.

    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.greeting = Greeting()
        self.codec = Codec()
        self.methods: frozenset[str] = frozenset()
        self.target: str | None = None
        self._number = 0
        self._asked = ""
        """Method of the last request."""

    @property
    def last_request(self) -> tuple[int, str]:
        """Number of the last request, and the method that it calls; "" before the first."""
        return self._number, self._asked

    def encode_call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Piece]:
        """Return the message of a call.

        Raises:
            TypeError: An argument has no encoding; the text has its path.
            ValueError: An argument is nested too deeply.
            MessageTooLong: The server is known not to take it.

        """
        self._number += 1
        self._asked = name
        head = _call_head(name)
        values: dict[str, Any] = {}
        if self.codec.call_ids:  # a server of ours takes a list, and does without what is empty
            head = b'%b,"id":%d' % (head, self._number)
            if args:
                values["args"] = list(args)
            if kwargs:
                values["kwargs"] = kwargs
        else:
            values = {"args": tuple(args), "kwargs": kwargs}
        try:
            pieces = self.codec.encode_fields(head, values)
        except TypeError as error:
            raise TypeError(f"argument of {name}(): {error}") from None
        if CALL_IDS not in self.greeting.features and (size := sum(map(len, pieces))) > _STOCK_LINE_LIMIT:
            raise MessageTooLong(
                f"{name}() of {self.where}: the request has {size} bytes, this server reads at most "
                f"{_STOCK_LINE_LIMIT} in one. Send the data in pieces"
            )
        return pieces

    def encode_method_list(self) -> list[Piece]:
        self._number += 1
        self._asked = "get_rpc_method_list"
        return self.codec.encode_fields(
            b'{"action":"get_rpc_method_list"' + numbered(self.codec, self._number), {}
        )

    def encode_lease(self, name: str, args: Sequence[Any]) -> list[Piece]:
        """Return a request about leases; the server needs the feature `introduction_1`."""
        self._number += 1
        self._asked = f"lease {name}"
        head = b'{"action":"lease"' + numbered(self.codec, self._number)
        return self.codec.encode_fields(head, {"name": name, "args": list(args)})

    def result(self, frame: Frame) -> Any:
        """Return what the last call returned.

        Raises:
            RemoteFailure: The method raised, or its value cannot be made here.
            FormatError: It is not the answer to that call; the connection is unusable.

        """
        try:
            answer = self.codec.decode(frame)
        except TypeError as error:
            # The line was whole: only this value cannot be made here (a type that is not registered).
            raise RemoteFailure(error) from error
        except ValueError as error:
            raise FormatError(f"{self.where} sent what is no answer: {error}") from error
        if type(answer) is not dict:
            raise FormatError(f"{self.where} sent something else than an answer")
        if self.codec.call_ids and (type(answer.get("id")) is not int or answer["id"] != self._number):
            raise FormatError(f"{self.where} sent something else than the answer to this call")
        status = answer.get("status")
        if status == "ok":
            return answer.get("ret")
        if status == "failed":
            raise RemoteFailure(exception_from(answer.get("exception"), self.where))
        raise FormatError(f"{self.where} sent an answer with the status {status!r:.40}")
