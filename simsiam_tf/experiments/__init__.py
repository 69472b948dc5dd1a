"""Many runs as one experiment: how tables over seeds are judged."""
