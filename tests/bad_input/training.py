"""Bad input to the two training scripts."""

import json

from .place import (
    case,
    train_diffusion,
    train_vae,
    truncate,
    with_hole,
)


@case("unknown key 'train.sampels' in the command line (did you mean 'samples'?)")
def vae_unknown_key(p):
    return train_vae(p, "train.sampels=3")


@case("no experiment config 'dion' (did you mean 'dino'?)")
def vae_unknown_experiment(p):
    return train_vae(p, "experiment=dion")


@case("cannot read argument 'train.samples'")
def vae_argument_without_a_value(p):
    return train_vae(p, "train.samples")


@case("train.samples")
def vae_value_of_the_wrong_type(p):
    return train_vae(p, "train.samples=many")


@case("no states at")
def vae_missing_states(p):
    return train_vae(p, states=p.folder / "none.zarr")


@case("needs samples for training and for validation")
def vae_empty_split(p):
    return train_vae(p, "data.validation=[nothing]")


@case("no variable 'tocee' among the states (did you mean 'toce'?)")
def vae_unknown_variable(p):
    return train_vae(p, "data.variables=[tocee]")


@case("not finite at wet cell")
def vae_hole_at_a_wet_point(p):
    return train_vae(p, states=p.store(with_hole))


@case("train.precision=fp16 is not accepted")
def vae_refused_precision(p):
    return train_vae(p, "train.precision=fp16")


@case("model.widths")
def vae_more_widths_than_strides(p):
    return train_vae(p, "model.widths=[8,16]")


@case("train.global_batch_size")
def vae_batch_of_nothing(p):
    return train_vae(p, "train.global_batch_size=0")


@case("no codec in")
def vae_warm_start_from_nothing(p):
    return train_vae(p, f"model.initial={p.folder / 'none'}")


@case("no latents at")
def diffusion_missing_latents(p):
    return train_diffusion(p, latents=p.folder / "none.zarr")


@case("run `ldm-ocean encode` again")
def diffusion_stale_latents(p):
    stale = p.copy(p.latents)
    about = json.loads((stale / "zarr.json").read_text())
    about["attributes"]["codec"] = "0" * 64
    (stale / "zarr.json").write_text(json.dumps(about))
    return train_diffusion(p, latents=stale)


@case("is not a readable latent store")
def diffusion_truncated_latents(p):
    broken = p.copy(p.latents)
    truncate(broken / "zarr.json")
    return train_diffusion(p, latents=broken)


@case("no equilibrium states of ['nothing']")
def diffusion_empty_split(p):
    return train_diffusion(p, "data.train=[nothing]")


@case("no codec in")
def diffusion_missing_codec(p):
    return train_diffusion(p, f"codec={p.folder / 'none'}")


@case("unknown key 'model.widht' in the command line (did you mean 'width'?)")
def diffusion_unknown_key(p):
    return train_diffusion(p, "model.widht=64")


@case("model.curve")
def diffusion_unknown_curve(p):
    return train_diffusion(p, "model.curve=edn")


@case("model.heads")
def diffusion_heads_that_do_not_divide_the_width(p):
    return train_diffusion(p, "model.heads=3")
