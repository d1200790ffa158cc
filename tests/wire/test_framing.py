"""Messages come out of a byte stream as they went in, however it is cut, and limits hold to the byte."""

import itertools
import random

import pytest

from rexec.wire._framing import Frame, FrameReader
from rexec.wire.errors import FormatError, MessageTooLong

USE = b'{"__jsonclass__":["bytes",[0]]}'
"""The shortest text that uses a raw buffer."""


def feed(reader: FrameReader, data: bytes, step: int) -> list[Frame]:
    """Let bytes arrive, so many at a time at most; return the messages."""
    frames: list[Frame] = []
    while data:
        space = reader.space()
        count = min(len(space), len(data), step)
        assert count > 0
        space[:count] = data[:count]
        data = data[count:]
        frame = reader.take(count)
        while frame is not None:
            frames.append(frame)
            frame = reader.take()
    return frames


def message(line: bytes, *buffers: bytes) -> bytes:
    if not buffers:
        return line + b"\n"
    sizes = ",".join(str(len(each)) for each in buffers)
    return b"#" + sizes.encode() + b" " + line + b"\n" + b"".join(buffers)


STEPS = (97, 4095, 4096, 4097, 1 << 17, 1 << 20)


@pytest.mark.parametrize("step", STEPS)
def test_lines_of_any_length_come_out_as_they_went_in(step: int) -> None:
    lengths = [0, 1, 4094, 4095, 4096, 4097, 10, 10, 9000, (1 << 17) - 1, 1 << 17, 3 * (1 << 17) + 5, 2]
    lines = [bytes([97 + number % 26]) * length for number, length in enumerate(lengths)]
    reader = FrameReader()
    frames = feed(reader, b"".join(map(message, lines)), step)
    assert [bytes(each.line) for each in frames] == lines
    assert all(each.buffers is None and each.size == len(each.line) for each in frames)
    assert reader.idle


@pytest.mark.parametrize("step", STEPS)
def test_raw_buffers_of_any_size_come_out_as_they_went_in(step: int) -> None:
    chosen = random.Random(step)
    sent: list[tuple[bytes, tuple[bytes, ...]]] = [(b"plain", ())]
    for sizes in ((0,), (5,), (4096,), (0, 3, 0), (4090, 1, 9000), (1, 2, 3, 4), (1 << 18, 0, 7)):
        buffers = tuple(chosen.randbytes(size) for size in sizes)
        sent += [(USE * len(sizes), buffers), (b"between", ())]
    reader = FrameReader()
    reader.raw = True
    frames = feed(reader, b"".join(message(line, *buffers) for line, buffers in sent), step)
    assert [(bytes(each.line), tuple(map(bytes, each.buffers or ()))) for each in frames] == sent
    assert [each.size for each in frames] == [len(line) + sum(map(len, buffers)) for line, buffers in sent]
    assert reader.idle


def test_a_long_line_is_received_into_the_same_memory_again_and_again() -> None:
    reader, memories = FrameReader(), list[object]()
    for _ in range(5):
        space = reader.space()
        memories.append(space.obj)
        space[:] = b"x" * len(space)
        assert reader.take(len(space)) is None
    assert len(memories[0]) == 1 << 12  # type: ignore[arg-type]
    assert len(memories[1]) == 1 << 17  # type: ignore[arg-type]
    assert all(each is memories[1] for each in memories[1:])


def test_a_message_has_no_dictionary_of_its_own() -> None:
    assert not hasattr(Frame(b""), "__dict__")


def test_a_reader_is_idle_between_messages_only() -> None:
    data = message(b"ab") + message(USE, b"xyz") + message(b"")
    ends = set(itertools.accumulate((3, len(message(USE, b"xyz")), 1)))
    reader = FrameReader()
    reader.raw = True

    def is_idle() -> bool:
        return reader.idle

    assert is_idle()
    for place in range(1, len(data) + 1):
        feed(reader, data[place - 1 : place], 1)
        assert is_idle() == (place in ends), place
    # Where two come at once, the second one is waited for.
    reader.space()[:4] = b"a\nbc"
    frame = reader.take(4)
    assert frame is not None
    assert not is_idle()
    assert reader.take() is None
    assert feed(reader, b"\n", 1)[0].line == b"bc"
    assert is_idle()


@pytest.mark.parametrize("step", [1, 4096])
@pytest.mark.parametrize("before", [b"", b"x\n", b"y" * 1000 + b"\n"])
@pytest.mark.parametrize("limit", [1000, 5000, 200_000])
def test_the_limit_of_a_line_is_kept_to_the_byte(step: int, before: bytes, limit: int) -> None:
    step = 4096 if limit > 5000 else step
    (*_, frame) = feed(FrameReader(limit), before + b"x" * limit + b"\n", step)
    assert frame.size == limit
    reader = FrameReader(limit)
    feed(reader, before + b"x" * limit, step)
    with pytest.raises(MessageTooLong, match=f"a line of more than {limit} bytes"):
        feed(reader, b"x", 1)
    with pytest.raises(MessageTooLong):
        feed(FrameReader(limit), before + b"x" * (limit + 1) + b"\n", step)


def test_the_limit_of_a_line_is_not_that_of_what_arrives_with_it() -> None:
    for lines in ([b""] + [b"abc"] * 9, [b"abc"] * 9, [b""] * 9):
        frames = feed(FrameReader(3), b"".join(map(message, lines)), 4096)
        assert [bytes(each.line) for each in frames] == lines


def test_the_limit_of_a_message_counts_its_buffers() -> None:
    def took(limit: int, *buffers: bytes) -> int:
        reader = FrameReader(limit)
        reader.raw = True
        (frame,) = feed(reader, message(USE * len(buffers), *buffers), 4096)
        return frame.size

    line = len(b"#100,200 " + 2 * USE)
    assert took(line + 300, b"a" * 100, b"b" * 200) == 2 * len(USE) + 300
    with pytest.raises(MessageTooLong, match=f"a message of {line + 300} bytes, more than {line + 299}"):
        took(line + 299, b"a" * 100, b"b" * 200)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"#", "not an announcement"),
        (b"#x " + USE, "not an announcement"),
        (b"#1,,2 " + USE, "not an announcement"),
        (b"#1" + USE, "not an announcement"),
        (b"#1234567890123456 " + USE, "not an announcement"),
        (b"#1 " + USE[1:], "1 raw buffers are announced, more than the message can use"),
        (b"#1,1 " + USE, "2 raw buffers are announced"),
        (b"#999999999999999 " + USE, "no memory for raw buffers of 999999999999999 bytes"),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(line: bytes, said: str) -> None:
    reader = FrameReader()
    reader.raw = True
    with pytest.raises((FormatError, MessageTooLong), match=said):
        feed(reader, line + b"\n", 4096)
    assert bytes(feed(FrameReader(), line + b"\n", 4096)[0].line) == line  # where there are none


def test_a_connection_that_only_waits_holds_little() -> None:
    assert len(FrameReader().space()) == 4096


def test_another_protocol_is_noticed_at_its_first_byte() -> None:
    for step in (1, 4096):
        reader = FrameReader()
        reader.opening = b"{"
        (frame,) = feed(reader, b"{}\n", step)
        assert frame.line == b"{}"
        with pytest.raises(FormatError) as caught:
            feed(reader, b"SSH-2.0" + b"x" * 100, step)
        assert caught.value.said == (b"SSH-2.0" + b"x" * 100)[: 1 if step == 1 else 60]
