"""A run from its folder to its figures: data, method, callbacks, resume, fit, evaluation."""
