# No Node at run time: the plan is baked by the layer's, and the static lychgate-pid1 runs it.
#   docker build -t smallest -f examples/alpine/Dockerfile.lean examples/alpine
FROM alpine:3 AS plan
COPY --from=lychgate/layer /opt/lychgate /opt/lychgate
RUN ["/opt/lychgate/bin/lychgate", "plan", "--output=/etc/lychgate.plan", "--grace=8", "--remap-exit=143"]

FROM alpine:3
COPY --from=lychgate/lean /opt/lychgate /opt/lychgate
COPY --from=plan /etc/lychgate.plan /etc/
ENTRYPOINT ["/opt/lychgate/bin/lychgate-pid1", "--plan=/etc/lychgate.plan", "--"]
CMD ["sh", "-c", "echo as PID 1: $(tr '\\0' ' ' </proc/1/cmdline)"]
