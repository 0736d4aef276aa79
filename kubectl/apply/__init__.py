"""How `apply` decides what to send: the three-way merge and its annotation. Sending is `commands.apply`'s."""
