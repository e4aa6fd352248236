"""Reports of test tools, in and out: JUnit XML and CTRF JSON."""
