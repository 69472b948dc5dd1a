# docker build -t simsiam-tf .                              GPU image: CUDA and cuDNN come as Python wheels
# docker build -t simsiam-tf:cpu --build-arg DEVICE=cpu .   CPU only
# mkdir -p runs && docker run --gpus all --user "$(id -u):$(id -g)" -v "$PWD/runs:/runs" simsiam-tf train --config digits
ARG DEVICE=gpu

FROM debian:bookworm-slim AS build
ARG DEVICE
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/simsiam
ENV PATH=/opt/simsiam/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Requirements first: a change of the code does not install TensorFlow again.
COPY requirements.txt /build/
RUN if [ "$DEVICE" = gpu ]; then sed -i 's/^tensorflow==/tensorflow[and-cuda]==/' /build/requirements.txt; fi \
    && pip install -r /build/requirements.txt
COPY pyproject.toml README.md /build/
COPY simsiam_tf /build/simsiam_tf
COPY configs /build/configs
RUN pip install --no-deps /build

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home simsiam && mkdir -m 777 /runs /data
COPY --from=build /opt/simsiam /opt/simsiam
ENV PATH=/opt/simsiam/bin:$PATH PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER simsiam
# Runs go to /runs: the default of --output is the folder "runs" of the working directory.
WORKDIR /
VOLUME ["/runs", "/data"]
ENTRYPOINT ["simsiam-tf"]
CMD ["--help"]
