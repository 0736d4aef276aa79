"""What every component shares: objects as data, asyncio kits, the client, the process frame. Imports no component."""
