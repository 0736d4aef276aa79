"""The HTTPS server on :10250: logs, exec, attach, port-forward, pods, stats."""
