"""What `get_device` gives for a remote execution target runs functions, and says no more than it needs to."""

from typing import Any

from devicedb import from_dict
from rexec.devices import DeviceManager
from rexec.remote import Remote, controller_driver
from rexec.remote_exec import rexec_targets
from tests.serving import serving


class Camera:
    def frame(self, n: int) -> list[int]:
        return list(range(n))


def brightest(n: int) -> int:
    return int(max(controller_driver.frame(n)))


def manager(port: int) -> DeviceManager:
    entry: dict[str, Any] = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
    aux = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}
    return DeviceManager(
        from_dict({"camera": entry, "camera_rexec": aux, "rexec": "camera_rexec"}, "device_db.py")
    )


def test_a_function_runs_beside_the_driver_of_a_device() -> None:
    with serving(rexec_targets("camera", Camera())) as port, manager(port) as devices:
        rexec = devices.get("rexec")
        assert isinstance(rexec, Remote)
        assert rexec.function(brightest)(7) == 6
        assert rexec is devices.get("camera_rexec")


def test_code_is_sent_as_the_original_module_has_it() -> None:
    with serving(rexec_targets("camera", Camera())) as port, manager(port) as devices:
        rexec = devices.get("rexec")
        rexec.add_code("def twice(n): return 2 * len(controller_driver.frame(n))")
        assert rexec.call("twice", 4) == 8


def test_the_driver_itself_is_a_plain_client() -> None:
    with serving(rexec_targets("camera", Camera())) as port, manager(port) as devices:
        assert not isinstance(devices.get("camera"), Remote)


def test_a_device_that_ran_no_function_leaves_nothing_on_the_controller() -> None:
    targets = rexec_targets("camera", Camera())
    with serving(targets) as port:
        with manager(port) as devices:
            devices.get("rexec").add_code("pass")
        with manager(port) as devices:
            rexec = devices.get("rexec")
            rexec.add_code("def agents(): return [n for n in controller_initial_namespace if 'agent' in n]")
            assert rexec.call("agents") == []


def test_the_class_for_artiq_has_its_controller_started_where_the_run_does_so() -> None:
    started: list[tuple[str, int]] = []
    with serving(rexec_targets("camera", Camera())) as port:
        database = from_dict(
            {
                "camera": {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"},
                "rexec": {
                    "type": "local",
                    "module": "rexec.artiq",
                    "class": "RemoteDevice",
                    "arguments": {"controller": "camera", "target_name": "camera_rexec"},
                },
            },
            "device_db.py",
        )
        with DeviceManager(
            database, before_connect=lambda e: started.append((e.controller, e.port))
        ) as devices:
            assert devices.get("rexec").function(brightest)(3) == 2
    assert started == [("camera", port)]
