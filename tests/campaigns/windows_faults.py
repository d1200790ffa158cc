"""Faults of Wine 8 that fail tests of ours, each with a small program that shows it without this project."""

from typing import Final

from tests.campaigns.windows_wine import WineFault

WINE_FAULTS: Final[tuple[WineFault, ...]] = (
    WineFault(
        "Ctrl-Break can be sent to a group of processes",
        """
import ctypes, signal, subprocess, sys, time
ctypes.windll.kernel32.AllocConsole()
child = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(20)"], creationflags=subprocess.CREATE_NEW_PROCESS_GROUP
)
sent = ctypes.windll.kernel32.GenerateConsoleCtrlEvent(signal.CTRL_BREAK_EVENT, child.pid)
child.kill()
sys.exit(1 if sent else 0)
""",
        (
            "tests/devicedb/test_process_tree.py::test_a_child_that_is_asked_ends_in_order",
            "tests/supervise/test_on_demand.py::test_a_controller_that_will_not_end_is_killed",
        ),
    ),
    WineFault(
        "a TCP connection has the number of its process",
        """
import os, socket, sys
import psutil
with socket.create_server(("127.0.0.1", 0)) as listener:
    found = [one.pid for one in psutil.net_connections("tcp") if one.laddr[1] == listener.getsockname()[1]]
    sys.exit(1 if found == [os.getpid()] else 0)
""",
        (
            "tests/supervise/test_parts.py::test_a_client_on_this_machine_is_named_with_its_process",
            "tests/doctor/test_faults.py::test_the_process_that_has_the_port_is_named",
            "tests/devices/test_peers.py::test_a_client_on_this_machine_is_named_with_its_process",
            "tests/devices/test_peers.py::test_the_process_that_listens_is_the_owner_of_a_port",
            "tests/devices/test_peers.py::test_an_ipv6_client_is_named_as_in_a_url_and_a_mapped_one_by_its_ipv4_address",
            "tests/devices/test_shared_devices.py::test_the_clients_of_a_hung_controller_are_named",
            "tests/cli/test_up.py::test_a_busy_controller_is_left_alone",
            "tests/cli/test_up.py::test_a_port_in_use_names_the_process",
        ),
    ),
    WineFault(
        "the memory of a job has a limit",
        """
import ctypes, sys

class Limits(ctypes.Structure):
    _fields_ = (
        ("times", ctypes.c_int64 * 2), ("flags", ctypes.c_uint32), ("sets", ctypes.c_size_t * 2),
        ("processes", ctypes.c_uint32), ("affinity", ctypes.c_size_t), ("classes", ctypes.c_uint32 * 2),
        ("counters", ctypes.c_uint64 * 6), ("process", ctypes.c_size_t), ("job", ctypes.c_size_t),
        ("peaks", ctypes.c_size_t * 2),
    )

kernel = ctypes.windll.kernel32
kernel.CreateJobObjectW.restype = ctypes.c_void_p
kernel.AssignProcessToJobObject.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
kernel.SetInformationJobObject.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
job = kernel.CreateJobObjectW(None, None)
limits = Limits(flags=0x200, job=256 << 20)
assert kernel.SetInformationJobObject(job, 9, ctypes.byref(limits), ctypes.sizeof(limits))
assert kernel.AssignProcessToJobObject(job, -1)
try:
    bytearray(1 << 30)
except MemoryError:
    sys.exit(1)
""",
        ("tests/devicedb/test_memory_limit.py::test_memory_beyond_the_limit_is_refused_also_to_children",),
    ),
)
