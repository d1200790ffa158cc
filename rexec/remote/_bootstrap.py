"""What is put on a controller before anything else: the agent's source, and the few lines that make it an agent."""

import base64
import inspect
import re
import zlib
from hashlib import sha256
from typing import Final

from rexec.ground import clock
from rexec.remote.agent import (
    agent,
    assembly,
    dispatcher,
    driver_queue,
    exceptions,
    execution,
    items,
    output,
    sendable,
    tenant,
    workspace,
)

_MODULES: Final = (
    clock,
    sendable,
    exceptions,
    output,
    assembly,
    driver_queue,
    items,
    execution,
    workspace,
    tenant,
    dispatcher,
    agent,
)


def agent_source() -> str:
    """Return the modules of the agent as one, in which the names of the earlier are there for the later."""
    texts = "\n\n".join(inspect.getsource(module) for module in _MODULES)
    imports = r"(?m)^from (?:__future__|rexec\.(?:remote\.agent|ground)\.\w+) import (?:\([^)]*\)|.*)$"
    return "from __future__ import annotations\n" + re.sub(imports, "", texts)


SOURCE: Final = agent_source()
KEY: Final = "_rexec_agent_" + sha256(SOURCE.encode()).hexdigest()[:12]

PACKED: Final = base64.b64encode(zlib.compress(SOURCE.encode(), 9)).decode()
"""The source again: every connection of a fleet carries and parses it, and only the first one of a process needs it."""

STUB: Final = f'''
def _rexec_boot(packed):
    agent = controller_initial_namespace.get("{KEY}")
    if agent is None:
        import base64, linecache, sys, types, zlib
        module = sys.modules.get("{KEY}")  # of another controller in this process
        if module is None:
            source = zlib.decompress(base64.b64decode(packed)).decode()
            module = types.ModuleType("{KEY}")
            file = "{exceptions.SELF_FILE}"
            linecache.cache[file] = (len(source), None, source.splitlines(True), file)
            exec(compile(source, file, "exec"), module.__dict__)
            sys.modules["{KEY}"] = module
        agent = controller_initial_namespace["{KEY}"] = module.Agent(controller_initial_namespace)


_rexec_boot({PACKED!r})


def _rexec_request(session, action, payload, hello=None):
    return controller_initial_namespace["{KEY}"].request(globals(), session, action, payload, hello)


def _rexec_call(session):
    name, args, kwargs = controller_initial_namespace["{KEY}"].whole_call(session)
    return globals()[name](*args, **kwargs)
'''
"""For `add_code`, once a connection: makes the agent, unless it is there, and the functions that ask it."""
