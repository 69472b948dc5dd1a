"""One page about runs and studies, and the same figures as CSV and LaTeX."""
