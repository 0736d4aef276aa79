"""The node's network agent: what runtime and kernel need to know for pods to reach each other."""
