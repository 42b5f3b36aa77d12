"""How both stages are trained: the loop, checkpoints, averages, configurations, and the two tasks."""
