# The portal as an image: nothing in it but Python, the pinned packages and the code. How to run it: docs/scaling.md.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
COPY requirements/base.txt requirements/rq.txt /tmp/requirements/
# Wheels only, so that no compiler is needed; of what RQ brings one package comes as source, which is plain Python.
# pip stays outside of what it fills.
RUN python3 -m venv --without-pip /opt/venv \
    && install="python3 -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check" \
    && $install --only-binary :all: --require-hashes --requirement /tmp/requirements/base.txt \
    && $install --require-hashes --requirement /tmp/requirements/rq.txt

FROM ${BASE}
# Everything that is ever written lies in these two folders and in /tmp: the root may be read-only.
RUN groupadd --gid 10001 portal \
    && useradd --uid 10001 --gid portal --no-create-home --home-dir /var/lib/pki-portal --shell /usr/sbin/nologin portal \
    && install --directory --mode=0700 --owner=portal --group=portal /var/lib/pki-portal /var/lib/pki-portal-journal
COPY --from=packages /opt/venv /opt/venv
COPY . /opt/pki-portal
WORKDIR /opt/pki-portal
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 PORT=8000 PKI_PORTAL_VAR=/var/lib/pki-portal PKI_PORTAL_JOURNAL=/var/lib/pki-portal-journal
RUN python -m compileall -q .
USER 10001:10001
VOLUME ["/var/lib/pki-portal", "/var/lib/pki-portal-journal"]
EXPOSE 8000
# The name is one that is always answered, unless ALLOWED_HOSTS leaves it out.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=4)"]
CMD ["gunicorn", "--config", "gunicorn.conf.py", "pki_portal.wsgi:application"]
