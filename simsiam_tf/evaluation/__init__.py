"""How good are the features? Arrays in, floats out: nothing here prints, logs or writes."""
