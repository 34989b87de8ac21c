from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from vsrcli.errors import OptionError, OutputError
from vsrcli.jobs import demo
from vsrcli.jobs.demo import write_demo
from vsrcli.picture.demo_clip import cut_index, demo_frames, demo_tone, frame_count

SIZE = (128, 72)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fraction]:
    path = tmp_path_factory.mktemp("demo") / "clip.mp4"
    return path, write_demo(path, seconds=1.0, size=SIZE, rate=20)


def test_pictures_are_the_same_every_time() -> None:
    first, second = (list(demo_frames(0.2, (64, 48), 20)) for _ in range(2))
    assert len(first) == frame_count(0.2, 20) == 4
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(
        picture.shape == (48, 64, 3) and picture.dtype == np.uint8 for picture in first
    )


def test_the_pictures_are_hard_to_upscale_and_move() -> None:
    luma = [
        picture.astype(float).mean(axis=2) for picture in demo_frames(1.0, SIZE, 20)
    ]
    cut = cut_index(len(luma))
    steps = [np.abs(b - a).mean() for a, b in pairwise(luma)]
    assert int(np.argmax(steps)) + 1 == cut
    assert steps[cut - 1] > 2 * sorted(steps)[-2]
    assert min(steps) > 0.5
    for picture in luma:
        smooth = (picture[:, :-2] + picture[:, 1:-1] + picture[:, 2:]) / 3
        assert np.abs(picture[:, 1:-1] - smooth).mean() > 3


def test_the_tone_changes_at_the_cut() -> None:
    tone = demo_tone(2.0, 1.0, 8000)
    assert tone.shape == (16000,)
    assert tone.dtype == np.float32
    assert 0.19 < np.abs(tone).max() <= 0.2
    for half, pitch in ((tone[:8000], 440), (tone[8000:], 659)):
        assert abs(int(np.abs(np.fft.rfft(half)).argmax()) - pitch) <= 1
    assert np.abs(tone[7990:8010]).max() < 0.02


def test_the_file(clip: tuple[Path, Fraction]) -> None:
    path, cut = clip
    assert cut == Fraction(1, 2)
    assert [entry.name for entry in path.parent.iterdir()] == ["clip.mp4"]
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        audio = container.streams.audio[0]
        context = video.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == (
            "h264",
            "yuv420p",
            *SIZE,
        )
        assert (
            context.colorspace,
            context.color_primaries,
            context.color_trc,
            context.color_range,
        ) == (1, 1, 1, 1)
        assert video.average_rate == 20
        assert audio.codec_context.name == "aac"
        frames = [
            ((frame.pts or 0) * (frame.time_base or 0), frame.to_ndarray()[: SIZE[1]])
            for frame in container.decode(video=0)
        ]
        assert abs((audio.duration or 0) * float(audio.time_base or 0) - 1) < 0.05
    assert [time for time, _ in frames] == [Fraction(i, 20) for i in range(20)]
    pictures = [picture for _, picture in frames]
    steps = [np.abs(b.astype(int) - a).mean() for a, b in pairwise(pictures)]
    assert frames[int(np.argmax(steps)) + 1][0] == cut


def test_luma_is_bt709_limited(clip: tuple[Path, Fraction]) -> None:
    picture = next(demo_frames(1.0, SIZE, 20)).astype(float)
    expected = 16 + 219 / 255 * (picture @ [0.2126, 0.7152, 0.0722])
    with av.open(str(clip[0])) as container:
        luma = next(container.decode(video=0)).to_ndarray()[: SIZE[1]]
    assert np.abs(luma - expected).mean() < 2.5


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="-y"):
        write_demo(path, seconds=0.1, size=(64, 48))
    assert path.read_text() == "mine"
    write_demo(path, seconds=0.1, size=(64, 48), overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", "a.gif"),
        ("none/a.mp4", "does not exist"),
        ("folder.mp4", "is a folder"),
        ("x" * 300 + ".mp4", "cannot be written"),
    ],
)
def test_targets_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=message) as caught:
        write_demo(tmp_path / name, seconds=0.1, size=(64, 48))
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.mp4"]


def test_nothing_is_left_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.mp4"
    path.write_text("mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "_encode", full)
    with pytest.raises(OutputError, match="No space left"):
        write_demo(path, seconds=0.1, size=(64, 48), overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.mp4"]
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "options", [{"size": (63, 48)}, {"size": (16, 16)}, {"seconds": 0.0}, {"rate": 0}]
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        write_demo(tmp_path / "a.mp4", **options)  # type: ignore[arg-type]
