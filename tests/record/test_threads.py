"""The clients of a simulation share the recorded answers."""

from devicedb.drivers.methods import DriverFacts
from rexec.record.recording import Replayer
from tests.threads.interleaving import Race


def player() -> Replayer:
    calls = [{"name": "get", "args": [], "kwargs": {}, "ret": number} for number in range(3)]
    return Replayer(DriverFacts(), calls)


def test_each_answer_is_given_to_one_call() -> None:
    Race(
        player,
        lambda replayer: replayer.answer("get", (), {}),
        lambda replayer: replayer.answer("get", (), {}),
        lambda replayer: replayer.answer("get", (), {}),
        ("rexec/record/recording.py",),
    ).check()
