"""Is it right on this card, and how fast: python benchmarks/card_checks.py [--cpu] [--json FILE].

About 70 seconds on one card. Each check runs by itself and none stops the next. Rows are printed as
they come; --json keeps them in a file that is whole after every row. What failed is listed at the
end, and the exit status is 1 then. --only NAME... picks checks, --seconds limits the time: speeds
that no longer fit are skipped and named. --cpu rehearses everything on a processor with tiny
pictures. Nothing here needs PyAV.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pass8
import torch
from card_parts import (
    PARTS,
    Call,
    Prepared,
    as_shipped,
    graphed,
    milliseconds,
    part_of,
    planes_for,
    windows,
)
from card_report import (
    LIMITS,
    Check,
    Report,
    Skipped,
    Value,
    as_text,
    attempt,
    compare,
    reference,
)

from vsrcli.backends import open_backend
from vsrcli.backends.torch import TorchBackend
from vsrcli.models import MODELS
from vsrcli.models.banded import BandedVolume
from vsrcli.models.layers import Chain3d, RecursiveBlock3d
from vsrcli.pipeline.network import LumaNetwork

NAMES = ("machine", "right", "capture", "banded", "pass8", "command", "speed")
# networks with a 3D part
VOLUMES = ("delta", "5-parallel", "previous")
# the domains that the limit of half precision was set for
DOMAINS = ("clean", "video")
REPLAYS = 5
# what half precision may differ by from float32 in a pass of pass8, for values of about 1
PASS_LIMIT = 2e-3
# two forms of the 3D part in half precision, on a large picture: this far apart only by a fault
SPEED_LIMIT = 8.0


@dataclass(frozen=True)
class Setting:
    """Where the checks run and on what; sizes are (height, width).

    Attributes:
        device: ``cuda`` or ``cpu``.
        precisions: of the results that are compared.
        picture: what is compared.
        speeds: network and size of the parts that are timed.
        commands: network, size and number of frames of the whole way.
        pass8: size of the picture that the kernel is compared on.
    """

    device: str
    precisions: tuple[str, ...]
    picture: tuple[int, int]
    speeds: tuple[tuple[str, tuple[int, int]], ...]
    commands: tuple[tuple[str, tuple[int, int], int], ...]
    pass8: tuple[int, int]

    @property
    def on_card(self) -> bool:
        """Whether there is a card."""
        return self.device == "cuda"


CARD = Setting(
    device="cuda",
    precisions=("fp32", "fp16"),
    picture=(61, 83),
    speeds=(
        ("delta", (1080, 1920)),
        ("5-parallel", (720, 1280)),
        ("delta", (540, 960)),
    ),
    commands=(
        ("delta", (1080, 1920), 6),
        ("5-parallel", (720, 1280), 6),
        ("lite", (1080, 1920), 40),
    ),
    pass8=(2176, 3856),
)
CPU = Setting(
    device="cpu",
    precisions=("fp32",),
    picture=(13, 19),
    speeds=(("delta", (12, 16)),),
    commands=(("lite", (20, 24), 3),),
    pass8=(17, 33),
)


def size_text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def check_machine(setting: Setting, report: Report) -> None:
    cudnn = torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]
    report.add(
        "machine",
        device=torch.cuda.get_device_name() if setting.on_card else "cpu",
        python=sys.version.split()[0],
        torch=torch.__version__,
        cudnn=cudnn if setting.on_card else 0,
    )
    if not setting.on_card:
        return
    side = 8192
    a = torch.rand(side, side, device="cuda", dtype=torch.float16) - 0.5
    report.add("machine", matmul_tflops=2 * side**3 / milliseconds(lambda: a @ a) / 1e9)
    x = torch.rand(1 << 30, device="cuda", dtype=torch.float16)
    y = torch.empty_like(x)
    report.add(
        "machine", copy_tb_s=2 * x.nbytes / milliseconds(lambda: y.copy_(x)) / 1e9
    )


def check_right(
    setting: Setting, model: str, domain: str, precision: str, report: Report
) -> None:
    """The backend against the float32 network on the processor, and its replays bit for bit."""
    backend = open_backend(
        "torch", model, domain, device=setting.device, precision=precision
    )
    given = planes_for(model, 2, *setting.picture)
    results = [backend.run(given) for _ in range(REPLAYS)]
    expected = reference(model, domain, 2, setting.picture)
    values, failed = compare(results[0], expected, LIMITS[precision])
    equal = all(np.array_equal(each, results[0]) for each in results)
    if not equal:
        failed = failed or "not every replay gives the same bits"
    report.add(
        "right",
        model=model,
        domain=domain,
        precision=precision,
        **values,
        replays_equal=equal,
        failed=failed,
    )


class Allocations:
    """Another thread that allocates on the card all the time, as FFmpeg does when it decodes there.

    Attributes:
        count: how many it made.
        status: CUDA's of the last call; it ends the thread unless it is 0, success.
    """

    def __init__(self) -> None:
        self.count = 0
        self.status = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._allocate)

    def __enter__(self) -> Allocations:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _allocate(self) -> None:
        library = ctypes.CDLL("libcuda.so.1")
        pointer = ctypes.c_uint64()
        torch.zeros(1, device="cuda")  # the card's context becomes this thread's
        while not self._stop.is_set():
            self.status = library.cuMemAlloc_v2(
                ctypes.byref(pointer), ctypes.c_size_t(1 << 20)
            )
            if not self.status:
                self.status = library.cuMemFree_v2(pointer)
            if self.status:
                return
            self.count += 1


def check_capture(setting: Setting, report: Report) -> None:
    """Graphs are recorded while another thread allocates on the card."""
    if not setting.on_card:
        raise Skipped("it needs a card")
    backend = TorchBackend("lite", "clean", device=setting.device)
    with Allocations() as other:
        for k in range(12):
            size = (64 + 8 * k, 96)
            given = planes_for("lite", 1, *size)
            results = [backend.run(given) for _ in range(3)]
    expected = reference("lite", "clean", 1, size)
    values, failed = compare(results[-1], expected, LIMITS[backend.precision])
    graphs = backend._graphs
    if other.status or not other.count:
        failed = f"the other thread allocated {other.count} times, then CUDA error {other.status}"
    elif graphs is None or not graphs._may_capture or not graphs._captured:
        failed = "no graph was recorded"
    report.add("capture", allocations=other.count, **values, failed=failed)


def check_banded(
    setting: Setting, model: str, precision: str, fused: bool, report: Report
) -> None:
    """The banded form of the 3D part against the whole network on the processor."""
    given = windows(2, *setting.picture)
    prepared = Prepared.load(model, given, setting.device, precision)
    banded = prepared.banded(fused=fused)
    with as_shipped():
        result = prepared.picture(banded(prepared.maps))
    expected = reference(model, "clean", 2, setting.picture)
    values, failed = compare(result.cpu().numpy(), expected, LIMITS[precision])
    report.add(
        "banded", model=model, precision=precision, fused=fused, **values, failed=failed
    )


def check_pass8(setting: Setting, report: Report) -> None:
    """The hand-written pass against the two convolutions in float32, and its time on a card."""
    if not setting.on_card and pass8.compiler() is None:
        raise Skipped("the emulation needs a C++ compiler")
    block = pass8.random_block().to(setting.device)
    packed = pass8.pack_block(block)
    shape = (1, *setting.pass8, pass8.SLICES, pass8.CHANNELS)
    x = torch.rand(shape, device=setting.device).half()
    with as_shipped():
        # NaN stays where the kernel writes nothing
        result = torch.full_like(x, float("nan"))
        if setting.on_card:
            pass8.launch(x, packed, result=result)
        else:
            result = pass8.emulate(x, packed)
        difference = float((result.float() - pass8.expected(x, block)).abs().max())
        failed = ""
        if not difference <= PASS_LIMIT:
            failed = f"differs by {difference:.3g}, at most {PASS_LIMIT}"
        size = size_text(setting.pass8)
        report.add("pass8", size=size, difference=difference, failed=failed)
        if not setting.on_card:
            return
        units = torch.cuda.get_device_properties(0).multi_processor_count
        for blocks in (units, 2 * units):
            launch = partial(pass8.launch, x, packed, result=result, blocks=blocks)
            report.add("pass8", size=size, blocks=blocks, ms=milliseconds(launch))


def time_banded_pass(setting: Setting, report: Report) -> None:
    """What pass8 has to beat: a pass of the same block in the banded form."""
    passes = 5
    block = RecursiveBlock3d(pass8.CHANNELS, passes).to(setting.device)
    shape = (1, pass8.SLICES * pass8.CHANNELS, *setting.pass8)
    x = torch.rand(shape, device=setting.device)
    if setting.on_card:
        block.half()
        x = x.half()
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        banded = BandedVolume(Chain3d(block), pass8.SLICES, fused=True)
    with as_shipped():
        each = timed(lambda: banded([x]), setting) / passes
    report.add(
        "pass8", size=size_text(setting.pass8), form="banded, cuDNN epilogues", ms=each
    )


def check_command(
    setting: Setting, model: str, size: tuple[int, int], frames: int, report: Report
) -> None:
    """Frames a second of the way of a frame through the network: windows of codes in, codes out.

    Motion, where it is compensated, is so as in `vsr upscale`: on threads beside the network.
    """
    backend = open_backend(
        "torch", model, "clean", device=setting.device, precision=None
    )
    network = LumaNetwork(backend, on_note=print)
    picture = windows(1, *size)[0, 0].astype(np.uint8)
    warm_ups = 3
    film = [np.roll(picture, k, axis=1) for k in range(warm_ups + frames + 4)]
    if setting.on_card:
        torch.cuda.reset_peak_memory_stats()
    began = 0.0
    before = 0.0
    motion = 0.0
    planned = (
        (k, network.inputs.plan(film[k : k + 5], 8, False))
        for k in range(len(film) - 4)
    )
    for k, (planes, took) in network.inputs.make(planned):
        if k == warm_ups:
            began = time.perf_counter()
            before = network.clock.seconds
        motion += took
        network.upscale(planes, 8, False)
    seconds = time.perf_counter() - began
    report.add(
        "command",
        model=model,
        size=size_text(size),
        precision=backend.precision,
        frames_per_second=frames / seconds,
        backend_ms=1e3 * (network.clock.seconds - before) / frames,
        motion_ms=1e3 * motion / (warm_ups + frames)
        if network.inputs.is_costly
        else 0.0,
        reused=network.reused,
        memory_gb=torch.cuda.max_memory_allocated() / 1e9 if setting.on_card else 0.0,
    )


@lru_cache(maxsize=1)
def prepared_for(setting: Setting, model: str, size: tuple[int, int]) -> Prepared:
    """The network of the speeds; the last one is kept for its next part."""
    given = windows(1, size[0] + 8, size[1] + 8)
    return Prepared.load(model, given, setting.device, setting.precisions[-1])


def time_part(
    setting: Setting, model: str, size: tuple[int, int], part: str, report: Report
) -> None:
    """Milliseconds of one part in the precision that ships, as one graph on a card."""
    prepared = prepared_for(setting, model, size)
    failed = ""
    values: dict[str, Value] = {}
    with as_shipped():
        call, features = part_of(prepared, part)
        if features is not None:
            sliced = prepared.picture(prepared.features)
            difference = float((prepared.picture(features) - sliced).abs().max())
            values["difference"] = difference
            if not difference <= SPEED_LIMIT:
                failed = f"{difference:.3g} grey levels from the sliced form"
            del features, sliced
        values["ms"] = timed(call, setting)
    report.add(
        "speed", model=model, size=size_text(size), part=part, **values, failed=failed
    )


def timed(call: Call, setting: Setting) -> float:
    """Milliseconds of ``call``: replayed as a graph on a card, once on a processor."""
    if setting.on_card:
        return milliseconds(graphed(call))
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def plan(setting: Setting) -> list[Check]:
    """All checks, the most important first."""
    checks = [Check("machine", "", partial(check_machine, setting))]
    checks += right_checks(setting)
    checks.append(Check("capture", "", partial(check_capture, setting)))
    for model in VOLUMES:
        for precision in setting.precisions:
            for fused in (False, True):
                label = f"{model} {precision}, fused {fused}"
                run = partial(check_banded, setting, model, precision, fused)
                checks.append(Check("banded", label, run))
    checks.append(Check("pass8", "the kernel", partial(check_pass8, setting)))
    for model, size, frames in setting.commands:
        run = partial(check_command, setting, model, size, frames)
        checks.append(
            Check("command", f"{model} {size_text(size)}", run, is_speed=True)
        )
    run = partial(time_banded_pass, setting)
    checks.append(Check("pass8", "banded form", run, is_speed=True))
    for model, size in setting.speeds:
        for part in PARTS:
            label = f"{model} {size_text(size)}, {part}"
            run = partial(time_part, setting, model, size, part)
            checks.append(Check("speed", label, run, is_speed=True))
    return checks


def right_checks(setting: Setting) -> list[Check]:
    checks = []
    for model, spec in MODELS.items():
        for domain in DOMAINS:
            if domain not in spec.domains:
                continue
            for precision in setting.precisions:
                label = f"{model} {domain} {precision}"
                run = partial(check_right, setting, model, domain, precision)
                checks.append(Check("right", label, run))
    return checks


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cpu", action="store_true", help="a rehearsal with tiny pictures"
    )
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=NAMES,
        default=NAMES,
        metavar="NAME",
        help=", ".join(NAMES),
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="after which no speed is measured (60)",
    )
    options = parser.parse_args(arguments)
    setting = CPU if options.cpu else CARD
    report = Report(options.json, options.seconds)
    threads = torch.get_num_threads()
    if options.cpu:
        torch.set_num_threads(
            1
        )  # on pictures this small threads only wait for each other
    try:
        for check in plan(setting):
            if check.name in options.only:
                attempt(check, report, setting.on_card)
    finally:
        prepared_for.cache_clear()
        torch.set_num_threads(threads)
    report.write()
    print(
        f"{len(report.rows)} rows, {len(report.failures)} failed, "
        f"{len(report.skipped)} skipped, {report.elapsed:.0f} s"
    )
    for row in report.failures:
        print(f"  FAILED {as_text(row)}")
    for line in report.skipped:
        print(f"  skipped {line}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
