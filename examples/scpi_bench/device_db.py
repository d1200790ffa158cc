"""The devices of the SCPI bench example: two controllers, each with remote execution beside its driver.

With hardware, put `-d RESOURCE` in the place of `--simulation`.
"""

device_db = {
    "generator": {
        "type": "controller",
        "host": "::1",
        "port": 3293,
        "target_name": "generator",
        "command": "python generator.py -p {port} --bind {bind} --simulation",
    },
    "generator_rexec": {
        "type": "controller_aux_target",
        "controller": "generator",
        "target_name": "generator_rexec",
    },
    "multimeter": {
        "type": "controller",
        "host": "::1",
        "port": 3294,
        "target_name": "multimeter",
        "command": "python multimeter.py -p {port} --bind {bind} --simulation --cable ::1 3293",
    },
    "multimeter_rexec": {
        "type": "controller_aux_target",
        "controller": "multimeter",
        "target_name": "multimeter_rexec",
    },
}
