"""The command line, a file for each verb, which imports TensorFlow only when its options are read: `--help` is quick.

Exit codes: 0 done; 2 bad usage or bad input; 3 the run collapsed, diverged, oscillates or does not converge; 75
interrupted after saving, run the same command again to go on; 130 interrupted where there was nothing to save.
"""

DONE, BAD_INPUT, FAILED, INTERRUPTED, KILLED = 0, 2, 3, 75, 130
