# One image for the Space and for Quay.
#   docker build .                                        embedded model only
#   docker build --build-arg GRANITE=1 .                  with Granite-4.0-Micro at its pinned revision (2.1 GB more)
#   docker build --build-arg UPSTREAM=<git url or tar> .  answers from an upstream checkout instead of our own pages
ARG BASE=docker.io/library/python:3.11-slim

# llama.cpp takes minutes to compile: a stage of its own, rebuilt only when its version changes.
FROM ${BASE} AS llama
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake ninja-build python3-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --upgrade pip
ARG LLAMA_CPP_PYTHON=0.3.36
# Portable code: x86-64-v3 (AVX2, FMA, F16C, BMI2) on amd64, Armv8.2 with dot products on arm64, nothing "native".
RUN case "$(uname -m)" in \
      aarch64) flags="-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16" ;; \
      *) flags="-DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON" ;; \
    esac \
    && CMAKE_ARGS="-DGGML_NATIVE=OFF $flags" /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels \
       "llama-cpp-python==$LLAMA_CPP_PYTHON"

FROM ${BASE} AS packages
RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt requirements.lock /tmp/
COPY --from=llama /wheels /wheels
# torch and llama.cpp are builds of our choice, so the lock cannot know their hashes; everything else is held to it.
RUN pip install --upgrade pip uv \
    && torch="$(grep '^torch==' /tmp/requirements.txt)" \
    && { UV_HTTP_RETRIES=1 uv pip install --no-cache --torch-backend=cpu --no-deps "$torch" || pip install --no-deps "$torch"; } \
    && pip install --no-deps /wheels/*.whl && pip uninstall -y uv \
    && pip install --no-deps --require-hashes -r /tmp/requirements.lock && pip check
# What nothing here runs: tests, headers and build tools of the packages.
RUN at="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf "$at"/torch/test "$at"/torch/include "$at"/pyarrow/include "$at"/pyarrow/src "$at"/gradio/test_data \
    && find "$at"/torch/bin -type f ! -name torch_shm_manager -delete \
    && find "$at"/scipy "$at"/sklearn "$at"/pandas "$at"/networkx "$at"/sympy "$at"/numpy "$at"/pyarrow \
       -type d -name tests -prune -exec rm -rf {} +
WORKDIR /app
COPY rag rag
COPY tools tools
COPY model model
ENV HF_HOME=/app/.data/hub
RUN python -m model fetch smollm2-135m
ARG GRANITE=0
RUN if [ "$GRANITE" = 1 ]; then python -m model fetch granite-4.0-micro; fi
ARG UPSTREAM=
RUN python -m rag build --out .data/index \
    && if [ -n "$UPSTREAM" ]; then python -m rag build --source "$UPSTREAM" --out .data/upstream; fi

FROM ${BASE} AS runtime
ARG UPSTREAM=
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 libseccomp2 \
    && rm -rf /var/lib/apt/lists/* && useradd -m -u 1000 user
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/home/user HF_HOME=/app/.data/hub HOST=0.0.0.0 PORT=7860 \
    INDEX=${UPSTREAM:+/app/.data/upstream}
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY --chown=user . .
COPY --from=packages --chown=user /app/.data /app/.data
USER 1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
