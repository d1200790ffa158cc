"""The programs of `tests.campaigns.soak`: the experiment, and the subscriber that is stopped."""

from typing import Final

LISTS: Final = 20
RESET: Final = 5000
"""Items after which a list begins anew."""

EXPERIMENT = """
import time
import numpy as np
from rexec.experiment import EnvExperiment

class Soak(EnvExperiment):
    def build(self):
        pass

    def run(self):
        noise = np.frombuffer(np.random.default_rng(1).bytes(2 * 480 * 640), np.uint16).reshape(480, 640)
        self.set_dataset("points", [], broadcast=True)
        begun = time.monotonic()
        appended = turn = 0
        while time.monotonic() - begun < {seconds}:
            while appended < (time.monotonic() - begun) * {rate}:
                key = f"list{{appended % {lists}}}"
                if appended % ({lists} * {reset}) < {lists}:
                    self.set_dataset(key, [])
                self.append_to_dataset(key, appended * 0.5)
                appended += 1
            self.set_dataset(f"slow{{turn % 100}}", turn, broadcast=True)
            if turn % {reset} == 0:
                self.set_dataset("points", [], broadcast=True)
            self.append_to_dataset("points", turn)
            if turn % 20 == 0:
                self.set_dataset("image", noise + np.uint16(turn % 2**16), broadcast=True)
            turn += 1
            time.sleep(0.01)
        self.set_dataset("appended", appended, broadcast=True)
"""

FOLLOWER = """
import asyncio, hashlib, sys
from rexec.wire import pyon
from rexec.wire.sync_struct import Subscriber

async def main():
    held, done = {}, asyncio.Event()

    def build(struct):
        held["x"] = struct
        return struct

    def look(mod):
        if "appended" in held["x"]:
            done.set()

    subscriber = Subscriber("datasets", build, look)
    await subscriber.connect("127.0.0.1", int(sys.argv[1]))
    await done.wait()
    while True:  # until nothing waits for it any more
        before = pyon.encode(sorted(held["x"].items()))
        await asyncio.sleep(3)
        if pyon.encode(sorted(held["x"].items())) == before:
            break
    print(hashlib.sha256(before.encode()).hexdigest(), flush=True)
    await subscriber.close()

asyncio.run(main())
"""
