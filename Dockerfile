# A GPU-capable image of vsr. Build: docker build -t vsr .    Run: docker run --rm --gpus all -v "$PWD:/data" vsr upscale in.mp4 out.mp4
# Whoever passes this image on passes on x264 and x265, which are under the GPL and come inside the av wheel: see LICENSE and README.md.
FROM python:3.12-slim-bookworm

# video: hardware decoding and encoding; compute: CUDA; utility: nvidia-smi
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY weights ./weights
COPY vsrcli ./vsrcli
RUN pip install --no-cache-dir . \
    && useradd --create-home --uid 1000 vsr

USER 1000
WORKDIR /data
ENTRYPOINT ["vsr"]
CMD ["--help"]
