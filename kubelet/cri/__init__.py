"""The Container Runtime Interface: generated messages and an asyncio client. No pod logic."""
