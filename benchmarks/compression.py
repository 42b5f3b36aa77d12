"""What a latent loses: the autoencoder beside EOFs, block averages and ZFP at the same ratio.

    python benchmarks/compression.py pretrained/dino-coarse [more codecs] --out docs/compression

Errors are shares of the anomaly variance about the training mean state, volume-weighted, in percent, on equilibrium and
unfinished states of each split. Writes <out>.json and <out>.md.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.codec import Codec
from ldm_ocean.bar import each
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.metrics import Diagnostics, Regions
from ldm_ocean.nn.pyramid import space_to_depth

SPLITS = {"train": ["train"], "validation": ["validation"], "test (interior)": ["test"], "test (edge)": ["edge"]}
Method = Callable[[torch.Tensor], torch.Tensor]


def autoencoder(codec: Codec) -> Method:
    """decode(encode(x)), on normalised anomalies."""

    @torch.no_grad()
    def method(x):
        return torch.cat([codec(chunk) for chunk in x.split(32)])

    return method


def eofs(codec: Codec, training: torch.Tensor) -> Method:
    """Truncation to as many EOFs of the training anomalies as there are latent values (at most their rank)."""
    volume = physical_weight(codec)
    per_variable = (volume * training.double().square().mean(0)).sum((1, 2, 3), keepdim=True)
    weight = (volume / per_variable).sqrt()[codec.masks]  # all variables count alike, as in the loss
    a = (training[:, codec.masks].double() * weight).numpy()
    v = np.linalg.svd(a, full_matrices=False)[2][: codec.n_tokens * codec.channels]

    def method(x):
        flat = x[:, codec.masks].double() * weight
        out = torch.zeros_like(x)
        out[:, codec.masks] = (torch.from_numpy((flat.numpy() @ v.T) @ v) / weight).float()
        return out

    return method


def block_averages(codec: Codec) -> Method:
    """Wet means over blocks that leave at most as many values, interpolated linearly between block centres."""
    blocks = [(d, h, w) for d in (1, 2, 3, 4, 6) for h in (1, 2, 3, 4, 5) for w in (1, 2, 3, 4, 5)]
    masks = codec.masks[None].float()

    def count(block) -> int:
        return int((space_to_depth(masks.transpose(0, 1), block).sum(1) > 0).sum())

    budget = codec.n_tokens * codec.channels
    best = max((b for b in blocks if count(b) <= budget), key=count)

    def method(x):
        n, v = x.shape[:2]
        flat, wet = x.reshape(n * v, 1, *x.shape[2:]), masks.transpose(0, 1)
        total = space_to_depth(flat, best).sum(1, keepdim=True).reshape(n, v, -1)
        share = space_to_depth(wet, best).sum(1, keepdim=True).reshape(1, v, -1)
        shape = space_to_depth(wet, best).shape[2:]
        interpolate = torch.nn.functional.interpolate
        padded = [s * b for s, b in zip(shape, best, strict=True)]
        # Interpolate sums and shares alike, so that dry blocks do not pull the wet ones towards 0.
        spread = [interpolate(t.reshape(-1, v, *shape), size=padded, mode="trilinear") for t in (total, share)]
        crop = tuple(slice(s) for s in x.shape[2:])
        return torch.where(codec.masks, spread[0][..., *crop] / spread[1][..., *crop].clamp_min(1e-6), 0.0)

    return method


def zfp(codec: Codec) -> Method:
    """ZFP (Lindstrom 2014) with one absolute tolerance a state, the smallest that fits into the latent's bytes."""
    try:
        import zfpy
    except ImportError as error:
        raise UserError("zfpy is not installed: pip install -e '.[bench]'") from error
    budget = 4 * codec.n_tokens * codec.channels

    def packed(state, tolerance):
        return [zfpy.compress_numpy(c, tolerance=tolerance, write_header=False) for c in state]

    def one(state):
        low, high = 1e-3, 1e2
        for _ in range(16):
            middle = np.sqrt(low * high)
            low, high = (low, middle) if sum(map(len, packed(state, middle))) <= budget else (middle, high)
        streams = packed(state, high)
        kind = zfpy.dtype_to_ztype(state.dtype)
        pairs = zip(streams, state, strict=True)
        return np.stack([zfpy._decompress(s, kind, c.shape, tolerance=high) for s, c in pairs])

    def method(x):
        states = np.ascontiguousarray(x.numpy())
        restored = np.stack([one(s) for s in each(states, len(states), "state", what="zfp")])
        return torch.where(codec.masks, torch.from_numpy(restored), 0.0)

    return method


def physical_weight(codec: Codec) -> torch.Tensor:
    """Volume × scale²: turns squared normalised errors into physical variance, (V, D, Y, X)."""
    return codec.fields.volumes(codec.grid) * codec.normaliser.scale[..., None, None].double() ** 2


def lost(codec: Codec, estimate: torch.Tensor, x: torch.Tensor) -> dict:
    """Share of the anomaly variance lost [%], by variable and by variable and level."""
    weight = physical_weight(codec)
    error = (weight * (estimate - x).square()).sum((0, 3, 4))
    total = (weight * x.square()).sum((0, 3, 4))
    levels = 100 * error / total.clamp_min(1e-300)
    return {
        name: {
            "all": float(100 * error[v].sum() / total[v].sum()),
            "levels": [float(e) if t > 0 else None for e, t in zip(levels[v], total[v], strict=True)],
        }
        for v, name in enumerate(codec.fields.names)
    }


def score(folder: Path, states_path: Path) -> dict:
    """All methods at the ratio of one codec."""
    codec = artefacts.load_codec(folder)
    states = {k: open_states(states_path, s) for k, s in SPLITS.items()}
    tensors = {k: torch.from_numpy(codec.fields.stack(s, codec.grid)) for k, s in states.items()}
    anomalies = {k: codec.normalise(t) for k, t in tensors.items()}
    methods = {"autoencoder": autoencoder(codec), "EOFs": eofs(codec, anomalies["train"])}
    methods |= {"block averages": block_averages(codec), "ZFP": zfp(codec)}
    diagnostics = Diagnostics(codec.grid, codec.fields, Regions())
    result: dict = {"ratio": codec.compression, "latent values": codec.n_tokens * codec.channels, "lost": {}}
    result["unstable"] = {"truth": {k: unstable(diagnostics, t) for k, t in tensors.items()}}
    for name, method in methods.items():
        splits = ["test (interior)", "test (edge)"] if name == "ZFP" else list(SPLITS)
        estimates = {k: method(anomalies[k]) for k in splits}
        result["lost"][name] = {k: lost(codec, e, anomalies[k]) for k, e in estimates.items()}
        physical = {k: torch.where(codec.masks, codec.normaliser.inverse(e), 0.0) for k, e in estimates.items()}
        result["unstable"][name] = {k: unstable(diagnostics, p) for k, p in physical.items()}
    return result


def unstable(diagnostics: Diagnostics, states: torch.Tensor) -> float:
    """Mean unstable volume [%]."""
    values = diagnostics(states)
    key = next(k for k in values if "unstable" in k)
    return float(np.mean(values[key]))


def table(results: dict[str, dict]) -> str:
    """Markdown: lost variance by method, split and variable."""
    about = (__doc__ or "").split("\n\n")[2].replace("\n", " ")
    lines = ["# What a latent loses", "", f"`python benchmarks/compression.py` wrote this page. {about}"]
    for folder, result in results.items():
        names = list(next(iter(result["lost"]["autoencoder"].values())))
        lines += ["", f"## {result['ratio']:.1f}×: `{folder}`, {result['latent values']} values a state", ""]
        lines += ["| method | split | " + " | ".join(names) + " | unstable volume (truth) |"]
        lines += ["|---" * (len(names) + 3) + "|"]
        for method, splits in result["lost"].items():
            for split, by_name in splits.items():
                cells = " | ".join(f"{by_name[n]['all']:.2f}" for n in names)
                volume = f"{result['unstable'][method][split]:.2f} ({result['unstable']['truth'][split]:.2f})"
                lines.append(f"| {method} | {split} | {cells} | {volume} |")
        lines += ["", "Autoencoder, test (interior) minus train, by level from the surface:", ""]
        ours = result["lost"]["autoencoder"]
        for n in names:
            gap = [
                "–" if a is None else f"{a - b:+.1f}"
                for a, b in zip(ours["test (interior)"][n]["levels"], ours["train"][n]["levels"], strict=True)
            ]
            lines.append(f"- `{n}`: {' '.join(gap)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codecs", type=Path, nargs="+")
    parser.add_argument("--states", type=Path, default=Path("data/dino-coarse"))
    parser.add_argument("--out", type=Path, default=Path("docs/compression"))
    args = parser.parse_args()
    results = {str(folder): score(folder, args.states) for folder in args.codecs}
    args.out.with_suffix(".json").write_text(json.dumps(results, indent=1))
    args.out.with_suffix(".md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    exit_politely(main)
