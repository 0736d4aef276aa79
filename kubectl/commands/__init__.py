"""One verb, one file: each has a COMMAND. What verbs share is in the package above."""
