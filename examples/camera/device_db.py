"""The devices of the camera example: one controller with a driver and remote execution beside it."""

device_db = {
    "camera": {
        "type": "controller",
        "host": "::1",
        "port": 3290,
        "target_name": "camera",
        "command": "python controller.py -p {port} --bind {bind}",
    },
    "camera_rexec": {
        "type": "controller_aux_target",
        "controller": "camera",
        "target_name": "camera_rexec",
    },
    "rexec": "camera_rexec",
}
