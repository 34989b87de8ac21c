"""What a run says before its work: how long, how large, and by when."""

from __future__ import annotations

import pytest

from vsrcli.wording import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (45.4, "45 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (720, "12 min"),
        (59.6 * 60, "1 h"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (9 * 3600 + 59.9 * 60, "10 h"),
        (15.3 * 3600, "15 h"),
        (47.7 * 3600, "2 days"),
        (76 * 3600, "3 days 4 h"),
        (9.99 * 86400, "10 days"),
        (12.2 * 86400, "12 days"),
        (4046.9 * 3600, "169 days"),
        (4046.9 * 86400, "4,047 days"),
    ],
)
def test_lengths_of_time_read_as_a_person_would_say_them(
    seconds: float, text: str
) -> None:
    assert duration_text(seconds) == text
