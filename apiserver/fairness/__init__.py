"""API Priority and Fairness: which flow a request is of, and when its turn comes."""
