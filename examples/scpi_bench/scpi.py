"""An instrument that speaks SCPI behind a VISA resource: text lines out, text lines in, errors made exceptions."""

import threading
from pathlib import Path

import pyvisa
from pyvisa.resources import MessageBasedResource

SIMULATED = f"{Path(__file__).with_name('bench.yaml')}@sim"
"""Backend in which pyvisa-sim answers for the instruments that bench.yaml describes."""

NO_ERROR = 0


class InstrumentError(Exception):
    """The instrument has refused a command, or does not answer."""


class Scpi:
    """One instrument. Its methods may be called from several threads: a question and its answer stay together.

    Args:
        resource: VISA resource name, as "TCPIP::192.168.1.20::INSTR".
        backend: VISA library, as `pyvisa.ResourceManager` takes it: "@py" is PyVISA-py, `SIMULATED` no hardware.
        timeout: Seconds to wait for an answer.

    Raises:
        InstrumentError: There is no such resource.

    """

    def __init__(self, resource: str, backend: str = "@py", timeout: float = 5.0) -> None:
        self.resource = resource
        self._lock = threading.RLock()
        try:
            session = pyvisa.ResourceManager(backend).open_resource(resource)
        except (pyvisa.Error, OSError, ValueError) as error:
            raise InstrumentError(f"{resource}: cannot be opened: {error}") from error
        if not isinstance(session, MessageBasedResource):
            raise InstrumentError(f"{resource}: not an instrument that is spoken to by messages")
        session.read_termination = session.write_termination = "\n"
        session.timeout = 1000 * timeout
        self._session = session

    def ask(self, question: str) -> str:
        """Send a question and return the answer, without its line end."""
        with self._lock:
            try:
                answer = self._session.query(question).strip()
            except (pyvisa.Error, OSError) as error:
                raise InstrumentError(f"{self.resource}: {question}: {error}") from error
        if not answer:
            raise InstrumentError(f"{self.resource}: {question}: no answer")
        return answer

    def tell(self, command: str) -> None:
        """Send a command, and ask the instrument whether it took it."""
        with self._lock:
            try:
                self._session.write(command)
            except (pyvisa.Error, OSError) as error:
                raise InstrumentError(f"{self.resource}: {command}: {error}") from error
            code, _, words = self.ask("SYST:ERR?").partition(",")
            if int(code) != NO_ERROR:
                raise InstrumentError(f"{self.resource}: {command}: {words} ({code})")

    def identity(self) -> str:
        """Return what `*IDN?` is answered: maker, model, serial number, firmware."""
        return self.ask("*IDN?")

    def close(self) -> None:
        """Close the session."""
        self._session.close()
