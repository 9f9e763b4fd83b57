# Operator on a computer of one's own: scripts/operator/README.md, "In a container". Builds for amd64 and arm64.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci --no-audit --no-fund
# What a start would make in the source tree, which cannot be written later.
ENV OPERATOR_BUNDLES=/app/.bundles
RUN node scripts/build/main.ts && node scripts/local/bundle-workers.ts

FROM node:24-bookworm-slim
WORKDIR /app
COPY --from=build /app /app
# The one folder that is written to. A new volume takes its owner and mode from here.
RUN install -d -m 0700 -o node -g node /data
ENV NODE_ENV=production OPERATOR_BUNDLES=/app/.bundles OPERATOR_STATE=/data HOME=/data
VOLUME /data
EXPOSE 80 443 8787
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["node", "scripts/operator/bin.js", "status"]
ENTRYPOINT ["node", "scripts/local/start.ts"]
