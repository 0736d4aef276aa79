"""CEL, the language of admission policies and match conditions: environments, upstream's functions, type checking."""
