"""Objects as data. Pure: no I/O, no asyncio, no clock."""
