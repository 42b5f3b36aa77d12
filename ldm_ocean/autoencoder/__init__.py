"""Stage one: the masked autoencoder, its latent space and the store of latents."""
