"""Stage two: the conditional transformer, its prior, its sampler and its guidance."""

# Here, where `--help` finds them without torch.
STEPS = 18  # network evaluations a member, without guidance
METHODS = DIFFUSION, GP = "diffusion", "gp"
