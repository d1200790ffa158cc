"""The devices of the host monitor example."""

device_db = {
    "host_monitor": {
        "type": "controller",
        "host": "::1",
        "port": 3291,
        "target_name": "host_monitor",
        "command": "python controller.py -p {port} --bind {bind}",
    },
    "host_monitor_rexec": {
        "type": "controller_aux_target",
        "controller": "host_monitor",
        "target_name": "host_monitor_rexec",
    },
}
