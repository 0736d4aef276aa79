"""One object in prose: a describer per kind, a generic one for the rest. Pure; fetching is `commands.describe`'s."""
