"""The rules of test execution: pure Python, no I/O, no clock, no Ray, no SQL."""
