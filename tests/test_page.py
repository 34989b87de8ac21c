"""A benchmark's page and curves: their content, no outside resources, use in a browser."""

from __future__ import annotations

import configparser
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsrcli.bench.page import render
from vsrcli.bench.plot import plot
from vsrcli.bench.report import BenchReport, BenchRow
from vsrcli.metrics.info import MetricInfo
from vsrcli.page.shots import Shot, View

ROOT = Path(__file__).resolve().parent.parent
METRICS = (
    MetricInfo("psnr", "PSNR dB", True, 2, "8 pixels left out"),
    MetricInfo("ssim", "SSIM", True, 4, "11x11 Gaussian"),
    MetricInfo("warp", "warping error", False, 3, "the first frame has none"),
)
HOSTILE = '</script><b onload="x">&amp;'


def _report(frames: int = 40, name: str = "film.mp4") -> BenchReport:
    rng = np.random.default_rng(0)

    def row(method: str, level: float, is_baseline: bool) -> BenchRow:
        wave = level + np.sin(np.arange(frames) / 9) + rng.normal(0, 0.1, frames)
        per_frame = {
            "psnr": wave.tolist(),
            "ssim": (wave / 50).tolist(),
            "warp": [math.nan, *(1 / wave[1:]).tolist()],
        }
        means = {
            metric: float(np.mean(values[1:] or [math.nan]))
            for metric, values in per_frame.items()
        }
        return BenchRow(
            method,
            is_baseline,
            means,
            per_frame,
            gain_db=level - 30,
            temporal_gain_db=None if is_baseline else 0.375,
            frames_per_second=12.5,
            peak_memory_mb=400.0,
        )

    rows = (
        row("nearest", 29, True),
        row("bicubic", 30, True),
        row("delta:video", 32.5, False),
    )
    times = [number / 25 for number in range(frames)]
    return BenchReport(
        name, "vsr", "half size", 160, 96, frames, 8, 255.0, METRICS, rows, times
    )


def _shots(name: str = "worst frame (3, 0.12 s)") -> list[Shot]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (96, 160, 3)).astype(np.uint8)
    views = [
        View("nearest", truth // 2, "20.00 dB"),
        View("bicubic", truth // 3, "21.00 dB"),
        View("delta:video", truth, "∞ dB"),
        View("ground truth", truth[:, :, 0]),
    ]
    return [Shot(name, views, left=1, right=2, pixel_aspect=Fraction(5, 4))]


def test_the_table_shows_every_figure() -> None:
    page = render(_report(), _shots())
    for shown in (
        "film.mp4",
        "PSNR dB",
        "delta:video",
        "+2.50",
        "−1.00",
        "12.5",
        "400",
        "11x11 Gaussian",
        "worst frame (3, 0.12 s)",
    ):
        assert shown in page
    assert page.count("class=best") == len(METRICS)


def test_the_temporal_gain_is_a_column_of_networks() -> None:
    page = render(_report(), [])
    assert page.count('<th scope="col">Temporal gain, dB</th>') == 1
    assert page.count("<td>+0.38</td><td>12.5</td>") == 1
    assert page.count("<td>–</td><td>12.5</td>") == 2
    assert "<b>Temporal gain, dB</b>: PSNR over that of the same network" in page
    baselines = replace(_report(), rows=_report().rows[:2])
    assert "Temporal gain" not in render(baselines, [])


def test_hostile_names_stay_text() -> None:
    page = render(_report(name=HOSTILE), _shots(HOSTILE))
    assert HOSTILE not in page
    assert page.count("<script") == page.count("</script>") == 2


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = render(_report(), _shots())
    assert not re.findall(
        r"(?:src|href)\s*=\s*[\"']?(?!data:)[a-z/]",
        page.replace("image.src = src", ""),
    )
    assert not re.findall(
        r"url\(|@import|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", page
    )


def test_values_that_are_no_numbers() -> None:
    report = _report()
    report.rows[2].means["psnr"] = math.inf
    report.rows[2].per_frame["psnr"][4] = math.inf
    report.rows[1].means["warp"] = math.nan
    page = render(report, [])
    assert "<td class=best>∞</td>" in page
    assert page.count("<td>–</td>") == 1 + 2  # two baselines have no temporal gain
    psnr = _data_of(page)["curves"]["metrics"][0]
    assert psnr["rows"][2]["y"][4] is None


def _data_of(page: str) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_long_clips_keep_their_worst_frames_and_stay_small() -> None:
    report = _report(frames=100_000)
    report.rows[2].per_frame["psnr"][77_777] = 3.0
    page = render(report, [])
    assert len(page) < 3_000_000
    assert 77_777 in _data_of(page)["curves"]["frames"]


def test_what_the_page_is_made_of_is_installed() -> None:
    """Files that are no modules come along only if setup.cfg names them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = config["options"]["packages"].split()
    package_data = config["options.package_data"]
    found = 0
    for file in (ROOT / "vsrcli").rglob("*.*"):
        if file.suffix in (".py", ".pyc"):
            continue
        package = ".".join(file.parent.relative_to(ROOT).parts)
        patterns = package_data[package].split(", ")
        assert package in packages
        assert any(file.match(pattern) for pattern in patterns), file
        found += 1
    assert found >= 4


def test_one_frame_and_no_pictures() -> None:
    assert "<table>" in render(_report(frames=1), [])


@pytest.mark.parametrize("frames", [1, 30])
def test_plot_is_a_png(frames: int) -> None:
    report = _report(frames=frames, name="$x_^ film & more.mp4")
    report.rows[0].per_frame["psnr"][0] = math.inf
    assert plot(report).startswith(b"\x89PNG")


BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
# A script beside the page acts as a reader. It writes what it sees into the document, which the
# browser prints at the end.
DRIVER = """<script>
const problems = [], seen = {};
addEventListener("error", event => problems.push(String(event.message)));
addEventListener("securitypolicyviolation", event => {
  problems.push("CSP " + event.violatedDirective);
});
for (const level of ["error", "warn"]) {
  console[level] = (...words) => problems.push(words.join(" "));
}
addEventListener("load", () => setTimeout(() => {
  const slider = document.querySelector(".divide");
  const left = document.querySelector("img.left");
  const clip = () => getComputedStyle(left).clipPath;
  seen.width = left.clientWidth;
  seen.before = clip();
  slider.value = 20;
  slider.dispatchEvent(new Event("input"));
  seen.after = clip();
  seen.loaded = left.naturalWidth;
  const select = document.querySelector("select[data-side=left]");
  const source = left.src;
  select.value = "0";
  select.dispatchEvent(new Event("change"));
  seen.changed = left.src !== source;
  seen.name = document.querySelector(".left-name").textContent;
  const paths = () => {
    const drawn = [...document.querySelectorAll("#curves path")];
    return drawn.map(path => path.getAttribute("d")).join();
  };
  const drawn = paths();
  document.querySelectorAll(".tabs button")[1].click();
  seen.switched = paths() !== drawn && drawn.length > 100;
  const svg = document.querySelector("#curves svg");
  const box = svg.getBoundingClientRect();
  const place = { clientX: box.left + box.width / 2, clientY: box.top + 50 };
  svg.dispatchEvent(new PointerEvent("pointermove", place));
  seen.hover = document.querySelector(".legend").textContent;
  const box0 = left.getBoundingClientRect();
  seen.aspect = box0.width / box0.height;
  const zoom = document.querySelector("[data-zoom='4']");
  zoom.click();
  seen.zoomed = left.clientWidth;
  seen.rendering = getComputedStyle(left).imageRendering;
  const view = document.querySelector(".view");
  const begin = Math.max(view.getBoundingClientRect().left, left.getBoundingClientRect().left);
  const visible = Math.min(view.clientWidth, left.clientWidth);
  left.dispatchEvent(new PointerEvent("pointerdown", {
    bubbles: true, clientX: begin + visible / 4, pointerId: 1, pointerType: "mouse",
  }));
  seen.dragged = slider.value;
  document.querySelector("[data-zoom='0']").click();
  seen.page = document.documentElement.scrollWidth;
  seen.window = innerWidth;
  seen.paper = getComputedStyle(document.body).backgroundColor;
  seen.problems = problems;
  const node = document.createElement("pre");
  node.id = "seen";
  node.textContent = JSON.stringify(seen);
  document.body.append(node);
}, 300));
</script></head>"""


def _right_inset(clip_path: str) -> float:
    """Pixels that ``inset(0px RIGHT 0px 0px)`` cuts off at the right."""
    return float(clip_path.split()[1].removesuffix("px"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (500, "dark")])
def test_the_page_works_in_a_browser(tmp_path: Path, width: int, scheme: str) -> None:
    page = tmp_path / "page.html"
    # a frame of 360 pixels stands for a phone: the window itself cannot be that narrow
    page.write_text(render(_report(), _shots()).replace("</head>", DRIVER))
    dark = (
        ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
        if scheme == "dark"
        else ["--blink-settings=preferredColorScheme=1"]
    )
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
        *dark,
        "--virtual-time-budget=4000",
        "--dump-dom",
        page.as_uri(),
    ]
    printed = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    found = re.search(r'<pre id="seen">(.*?)</pre>', printed, re.DOTALL)
    assert found, printed[-2000:]
    seen = json.loads(
        found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    )
    assert seen["problems"] == []
    assert _right_inset(seen["before"]) == pytest.approx(0.5 * seen["width"], abs=1)
    assert _right_inset(seen["after"]) == pytest.approx(0.8 * seen["width"], abs=1)
    assert seen["width"] == (800 if width == 1200 else 400)  # whole multiples of 200
    assert seen["loaded"] == 160
    assert seen["changed"]
    assert seen["name"] == "◂ nearest, 20.00 dB"
    assert seen["switched"]
    assert "frame" in seen["hover"]
    assert "delta:video" in seen["hover"]
    assert seen["aspect"] == pytest.approx(200 / 96, rel=0.01)  # pixels of 5:4
    assert seen["zoomed"] == 800
    assert seen["rendering"] == "pixelated"
    assert float(seen["dragged"]) == pytest.approx(25, abs=1)
    assert seen["page"] <= seen["window"]
    red = int(re.findall(r"\d+", seen["paper"])[0])
    assert red > 200 if scheme == "light" else red < 60


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    driver = DRIVER.replace(
        "document.body.append(node)", 'parent.postMessage(node.textContent, "*")'
    )
    (tmp_path / "page.html").write_text(
        render(_report(), _shots()).replace("</head>", driver)
    )
    frame = tmp_path / "phone.html"
    frame.write_text(
        '<body><iframe src="page.html" width="360" height="800" style="border:0"></iframe>'
        '<script>addEventListener("message", event => {'
        'const node = document.createElement("pre");'
        'node.id = "seen"; node.textContent = event.data;'
        "document.body.append(node); });</script>"
    )
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--allow-file-access-from-files",
        "--virtual-time-budget=4000",
        "--dump-dom",
        frame.as_uri(),
    ]
    printed = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    found = re.search(r'"page":(\d+),"window":(\d+)', printed)
    assert found, printed[-2000:]
    assert int(found[1]) <= int(found[2]) == 360
