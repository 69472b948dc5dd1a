"""What a run can be told, known without TensorFlow: a typo is answered in a third of a second."""
