"""The node agent: makes the pods bound to this node run in a container runtime, and says how they are."""
