"""Make docs/slider.png, the page of ``vsr preview`` in a browser: python docs/slider.py.

The demonstration clip is drawn, previewed with lite, and Chromium shows the page. The picture has a
palette of 128 colours.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import av.filter

PICTURE = Path(__file__).with_name("slider.png")
WINDOW = (900, 820)
COLORS = 128
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _vsr(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "vsrcli", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True)


def screenshot(page: Path, picture: Path) -> None:
    """Show a page in Chromium and keep what it shows as a PNG.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        raise FileNotFoundError("no Chromium here: install one")
    command = [
        found[0],
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={WINDOW[0]},{WINDOW[1]}",
        f"--screenshot={picture}",
        page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True)


def reduce_colors(source: Path, target: Path) -> None:
    """Write a PNG again with a palette of ``COLORS`` colours."""
    with av.open(str(source)) as container:
        picture = next(container.decode(video=0)).reformat(format="rgb24")
    graph: Any = av.filter.Graph()
    size = f"{picture.width}x{picture.height}"
    buffer = graph.add("buffer", f"video_size={size}:pix_fmt=rgb24:time_base=1/1")
    split = graph.add("split")
    palette = graph.add("palettegen", f"max_colors={COLORS}:stats_mode=single")
    use = graph.add("paletteuse", "dither=none")
    sink = graph.add("buffersink")
    buffer.link_to(split)
    split.link_to(palette, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    picture.pts = 0
    buffer.push(picture)
    buffer.push(None)
    reduced = sink.pull()
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width = reduced.width
    encoder.height = reduced.height
    encoder.pix_fmt = "pal8"
    encoder.options = {"compression_level": "9", "pred": "none"}
    packets = [*encoder.encode(reduced), *encoder.encode(None)]
    target.write_bytes(b"".join(bytes(packet) for packet in packets))


def main() -> None:
    """Make the clip, its page and the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        _vsr("demo", clip)
        page = folder / "page.html"
        _vsr("preview", clip, "--model", "lite", "--html", page)
        screenshot(page, folder / "page.png")
        reduce_colors(folder / "page.png", PICTURE)


if __name__ == "__main__":
    main()
