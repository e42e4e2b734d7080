"""What a deploy's log shows of a backfill that goes on for an hour."""

from __future__ import annotations

import io

import pytest

from safemigrate.management import voice
from safemigrate.management.voice import Voice


class Stream(io.StringIO):
    """A command's stdout: Django's adds the end of a line."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str, ending: str = "\n") -> int:
        return super().write(text + ending)


@pytest.fixture
def seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(voice.time, "monotonic", lambda: now[0])
    return now


def test_a_log_file_gets_a_plain_line_now_and_then_and_all_that_stays(seconds):
    stream = Stream(terminal=False)
    speak = Voice(stream)
    for number in range(11):
        speak(f"{number} rows", passing=True)
        seconds[0] += 1
    speak("done", passing=False)
    assert stream.getvalue() == "    0 rows\n    5 rows\n    10 rows\n    done\n"


def test_on_a_terminal_one_line_is_written_over(seconds):
    stream = Stream(terminal=True)
    speak = Voice(stream)
    speak("1 rows", passing=True)
    speak("2 rows", passing=True)
    speak("done", passing=False)
    assert stream.getvalue() == ("\r\033[K    1 rows\r\033[K    2 rows\r\033[K    done\n")


def test_the_line_that_django_has_begun_is_begun_again_for_its_end(seconds):
    stream = Stream(terminal=False)
    speak = Voice(stream)
    stream.write("  Applying shop.0002_fill...", ending="")
    speak.started_line()
    speak("1 rows", passing=True)
    speak.ending_line("Applying shop.0002_fill")
    stream.write(" OK")
    assert stream.getvalue().splitlines() == [
        "  Applying shop.0002_fill...",
        "    1 rows",
        "  Applying shop.0002_fill... OK",
    ]
