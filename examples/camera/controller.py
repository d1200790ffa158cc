"""A controller with remote execution: the simulation of a camera that looks at a moving spot.

Start it by hand with `python controller.py`, or let `rexec run … --up` do so.
"""

import argparse
import logging
import time

import numpy as np
from numpy.typing import NDArray

from rexec.common_args import (
    bind_address_from_args,
    error_in_one_line,
    init_logger_from_args,
    simple_network_args,
    verbosity_args,
)
from rexec.remote_exec import simple_rexec_server_loop
from rexec.wire.pc_rpc import read_only, while_busy
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 640, 480
BACKGROUND, AMPLITUDE, READOUT_NOISE = 100.0, 2000.0, 8.0
SIZE_X, SIZE_Y = 24.0, 16.0


class Camera:
    """A camera of 640 by 480 pixels whose spot moves on a Lissajous figure, with shot and readout noise.

    Args:
        seed: Of the noise.

    """

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._exposure = 0.01
        self._frames = 0
        self._x = np.arange(WIDTH, dtype=np.float32)
        self._y = np.arange(HEIGHT, dtype=np.float32)[:, None]

    @read_only
    def get_size(self) -> tuple[int, int]:
        """Return width and height of a frame in pixels."""
        return WIDTH, HEIGHT

    def set_exposure(self, seconds: float) -> None:
        """Set the time that light is collected for a frame.

        Args:
            seconds: 1 µs to 10 s.

        Raises:
            ValueError: It is outside of that.

        """
        if not 1e-6 <= seconds <= 10:
            raise ValueError(f"exposure of {seconds!r} s: it must be between 1e-6 and 10 s")
        self._exposure = seconds

    def get_frame(self) -> NDArray[np.uint16]:
        """Expose and return a frame: counts, shape (480, 640), uint16."""
        time.sleep(self._exposure)
        phase = 2 * np.pi * self._frames / 100
        self._frames += 1
        center_x = WIDTH / 2 + 120 * np.sin(2 * phase)
        center_y = HEIGHT / 2 + 90 * np.sin(3 * phase)
        profile_x = np.exp(-(((self._x - center_x) / SIZE_X) ** 2) / 2)
        profile_y = np.exp(-(((self._y - center_y) / SIZE_Y) ** 2) / 2)
        expected = BACKGROUND + AMPLITUDE * profile_y * profile_x
        noise = self._random.standard_normal(expected.shape, dtype=np.float32)
        # Shot noise of many photons is normal, of the variance of their number.
        frame = expected + noise * np.sqrt(expected + READOUT_NOISE**2)
        counts: NDArray[np.uint16] = np.clip(frame, 0, 65535).astype(np.uint16)
        return counts

    @while_busy
    def ping(self) -> bool:
        """Tell the controller manager that the controller lives."""
        return True


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Simulation of a camera, with remote execution: targets camera and camera_rexec.",
        epilog="examples:\n  python controller.py -v\n  rexec call ::1 3290 -t camera get_size     while it runs\n\n"
        "Ctrl-C, SIGTERM or terminate() ends it. Exit status: 0 ended by a signal or a client, 2 could not start.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=1, help="seed of the camera's noise (default: %(default)d)"
    )
    simple_network_args(parser, 3290, ssl=True)
    verbosity_args(parser)
    return parser


@error_in_one_line()
def main() -> None:
    """Serve the camera until told to end."""
    args = get_argparser().parse_args()
    init_logger_from_args(args)
    logger.info("camera of %d x %d pixels", WIDTH, HEIGHT)
    simple_rexec_server_loop(
        "camera",
        Camera(args.seed),
        bind_address_from_args(args),
        args.port,
        "simulated camera",
        ssl_config=SimpleSSLConfig(*args.ssl) if args.ssl else None,
    )


if __name__ == "__main__":
    main()
