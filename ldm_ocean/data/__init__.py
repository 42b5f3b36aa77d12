"""From stores on disk to tensors: fields, normalisation, states, latents, sample order."""
