"""asyncio kits that never heard of Kubernetes."""
