"""What is trained: each task is data, model and loss for ``engine.fit``."""
