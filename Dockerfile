# docker build -t simsiam-tf .                              GPU image: CUDA and cuDNN come as Python wheels
# docker build -t simsiam-tf:cpu --build-arg DEVICE=cpu .   CPU only
# mkdir -p runs && docker run --gpus all --user "$(id -u):$(id -g)" -v "$PWD/runs:/runs" simsiam-tf train --config digits
ARG DEVICE=gpu

FROM debian:bookworm-slim AS packages
ARG DEVICE
RUN apt-get update && apt-get install -y --no-install-recommends binutils python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# uv installs as pip does, several packages at once; it has an environment of its own and stays behind.
RUN python3 -m venv /uv && /uv/bin/pip install uv==0.13.9 && python3 -m venv --without-pip /opt/simsiam
ENV UV_NO_CACHE=1 UV_PYTHON=/opt/simsiam/bin/python
# Packages before code: a change of the code installs none of them again.
COPY requirements.txt docker/constraints.txt docker/slim.sh /build/
RUN case "$DEVICE" in \
        gpu) sed -i 's/^tensorflow==/tensorflow[and-cuda]==/' /build/requirements.txt ;; \
        cpu) sed -i 's/^tensorflow==/tensorflow-cpu==/' /build/requirements.txt ;; \
        *) echo "DEVICE: '$DEVICE' is unknown; give gpu or cpu" >&2; exit 1 ;; \
    esac \
    && /uv/bin/uv pip install -r /build/requirements.txt -c /build/constraints.txt \
    && sh /build/slim.sh /opt/simsiam

FROM packages AS code
COPY pyproject.toml README.md requirements.txt /build/
COPY configs /build/configs
COPY simsiam_tf /build/simsiam_tf
RUN /uv/bin/uv pip install --no-deps --no-build-isolation --target /opt/code /build

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --no-create-home simsiam && mkdir -m 777 /runs /data
# The default of --output is the folder "runs" of the working directory.
WORKDIR /
COPY --from=packages /opt/simsiam /opt/simsiam
COPY docker/healthcheck.sh /usr/local/bin/healthcheck
COPY --from=code /opt/code /opt/code
# Nothing is written outside of /runs and /tmp, by whichever user.
ENV PATH=/opt/code/bin:/opt/simsiam/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 HOME=/tmp XDG_CACHE_HOME=/runs/.cache \
    TFDS_DATA_DIR=/data NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER simsiam
VOLUME ["/runs", "/data"]
HEALTHCHECK --interval=1m --timeout=10s CMD ["healthcheck"]
ENTRYPOINT ["simsiam-tf"]
CMD ["--help"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="simsiam-tf" \
      org.opencontainers.image.description="Self-supervised pre-training of image encoders with SimSiam" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION"
