"""Many runs as one experiment: a study's cells, the sweep that runs them, their results, tables and tests."""
