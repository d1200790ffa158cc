"""What every test counts on, however the suite was started."""

import signal

from hypothesis import HealthCheck, settings

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows

# Time is never asserted: a busy machine may take long over an example.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure() -> None:
    """Let signals end processes that are ignored where a shell starts this in its background, or `nohup` does."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (HANGUP, signal.SIG_DFL)):
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
