"""How objects become text: tables, JSON, YAML, names, JSONPath, columns. Prose about one object is `describe`'s."""
