"""What makes a process: flags, config, logs, metrics, health, TLS, run."""
