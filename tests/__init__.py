"""Tests, laid out as the tree they test; what needs real parts is in integration and interop."""
