"""The closed loop: generated states go back into the model that made the training data, beside other ways to begin."""
