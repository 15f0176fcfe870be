# foster with what its servers are usually started by: Node (npx) and uv (uvx).
#
#   docker build -t foster:0.2.0 .
#
# foster export kubernetes|compose writes what runs it.

ARG NODE=node:24-bookworm-slim

FROM ${NODE} AS build
RUN npm install --global deno@2.9.6 bun@1.4.5
WORKDIR /source
COPY . .
RUN deno task build --engine bun --out /built/foster

FROM ${NODE}
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates git python3 python3-pip tini \
  && pip3 install --no-cache-dir --break-system-packages uv==0.13.9 \
  && apt-get purge --yes --auto-remove python3-pip \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 10001 foster \
  && useradd --uid 10001 --gid 10001 --create-home --home-dir /data foster \
  && chmod 0700 /data
COPY --from=build /built/foster /usr/local/bin/foster
RUN ln -s foster /usr/local/bin/foster-mcp
USER 10001:10001
WORKDIR /data
ENV FOSTER_STATE_DIR=/data/state
VOLUME ["/data"]
EXPOSE 8420
# Servers leave children behind: somebody has to reap them, also where the container brings an init of its own (-s).
ENTRYPOINT ["tini", "-s", "--", "foster"]
CMD ["--help"]
