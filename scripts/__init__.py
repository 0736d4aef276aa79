"""Tools of the checkout itself: run from its root, not installed."""
