"""Remote functions: Python functions of an experiment that run beside the driver, on any controller.

    fit = rexec.remote.wrap(client).function(get_and_fit)
    x = fit(guess)

They are sent as source, with what they use, through `add_code` and `call`: stock controllers need nothing new.
The package itself is a decorator too: `@rexec.remote` is `@rexec.remote.remote` (docs/decisions, number 12).
"""

import sys
import types
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rexec.remote._async import AsyncRemote, AsyncRemoteFunction
from rexec.remote._definition import RemoteDefinition, remote
from rexec.remote._errors import CannotTravel, JobExpired, RemoteClosed, RemoteFunctionError, StateLost
from rexec.remote._fleet import Fleet, FleetError, FleetResults, fleet
from rexec.remote._function import RemoteFunction
from rexec.remote._jobs import Captured, Job
from rexec.remote._provided import (
    CurrentJob,
    controller_driver,
    controller_initial_namespace,
    job,
    provided,
)
from rexec.remote._remote import Remote, open_remotes, wrap
from rexec.remote._streams import Stream

P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "AsyncRemote",
    "AsyncRemoteFunction",
    "CannotTravel",
    "Captured",
    "CurrentJob",
    "Fleet",
    "FleetError",
    "FleetResults",
    "Job",
    "JobExpired",
    "Remote",
    "RemoteClosed",
    "RemoteDefinition",
    "RemoteFunction",
    "RemoteFunctionError",
    "StateLost",
    "Stream",
    "controller_driver",
    "controller_initial_namespace",
    "fleet",
    "job",
    "open_remotes",
    "provided",
    "remote",
    "wrap",
]


for _error in (CannotTravel, FleetError, JobExpired, RemoteClosed, RemoteFunctionError, StateLost):
    _error.__module__ = __name__  # a traceback names it as it is imported


class _Decorator(types.ModuleType):
    """The package, which can be called: a function is marked by `@rexec.remote`."""

    rexec_decorator = True

    def __call__(self, function: Callable[P, R]) -> RemoteDefinition[P, R]:
        """Mark a function as one for controllers; see `remote`."""
        return remote(function)


sys.modules[__name__].__class__ = _Decorator
