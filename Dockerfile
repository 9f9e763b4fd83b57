# Operator on a computer of one's own: scripts/operator/README.md, "In a container". Builds for amd64 and arm64.
FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY . .
RUN npm ci --no-audit --no-fund && npm run build:operator

# The same program as everywhere else, with workerd and nothing of the repository or of what built it.
FROM node:24-bookworm-slim
COPY --from=build /src/scripts/operator/build/operator.tgz /tmp/operator.tgz
RUN npm install --global --no-audit --no-fund /tmp/operator.tgz && rm -rf /tmp/operator.tgz /root/.npm
# The one folder that is written to. A new volume takes its owner and mode from here.
RUN install -d -m 0700 -o node -g node /data
ENV NODE_ENV=production OPERATOR_STATE=/data HOME=/data
WORKDIR /data
VOLUME /data
EXPOSE 80 443 8787
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["operator", "status"]
ENTRYPOINT ["operator", "start"]
