# The relay as an image:
#   docker run --read-only -v relay:/data -v ./relay:/etc/relay:ro -p 8080:8080 amocrm-relay
# where ./relay holds routes.yaml and its secrets, for uid 10001 to read. Mount the folder: a file that is mounted alone
# stays the one that it was, whatever is edited.
#
# To pin the base, take the digest that `docker buildx imagetools inspect python:3.13-slim` prints and build with
#   --build-arg BASE=python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN python -m venv --without-pip /opt/relay \
 && pip --python /opt/relay/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt \
 && pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.txt
COPY pyproject.toml README.md ./
COPY relay relay
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/relay/bin/python install --no-deps --no-index dist/*.whl

FROM ${BASE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin relay \
 && install --directory --owner relay --group relay --mode 0700 /data
COPY --from=build /opt/relay /opt/relay

# The admin listener is for the container itself until RELAY_ADMIN and RELAY_ADMIN_TOKEN open it.
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_CONFIG=/etc/relay/routes.yaml \
    RELAY_STORE=sqlite:////data/relay.db \
    RELAY_LISTEN=0.0.0.0:8080 \
    RELAY_ADMIN=127.0.0.1:8081

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM

# http.client and not urllib: a proxy set for the targets must not be asked for our own port. /readyz needs no token.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import http.client, os, sys; host, _, port = os.environ['RELAY_ADMIN'].rpartition(':'); host = host.strip('[]'); admin = http.client.HTTPConnection({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), int(port), timeout=2); admin.request('GET', '/readyz'); sys.exit(admin.getresponse().status != 200)"]

ENTRYPOINT ["relay"]
CMD ["run"]
