"""The README's picture: a test setting's surface temperature and 500 m salinity beside what the model generates.

python benchmarks/picture.py pretrained/dino-coarse docs/first-light.png
"""

import argparse
from pathlib import Path

import xarray as xr

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.metrics.scoring import verifying_states
from ldm_ocean.report.figures import Row, draw_rows, map_frame, unit_label
from ldm_ocean.report.views import nearest_level, values

SHOWN = (("toce", 0.0), ("soce", 500.0), ("uoce", 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--setting", default="test-00")
    args = parser.parse_args()
    model, states = OceanLDM.from_pretrained(args.model), open_states("data/dino-coarse")
    truth = states.isel(sample=verifying_states(states, args.setting, 1))
    parameters = {k: float(truth[k][0]) for k in states.attrs["parameters"]}
    members = model.sample(parameters, members=16, season=float(truth.season[0]))[model.fields.names]
    with xr.set_options(keep_attrs=True):
        panels = {
            "truth": truth.isel(sample=0),
            "reconstruction": model.decode(model.encode(truth)).isel(sample=0),
            "generated mean": members.mean("member"),
            "one member": members.isel(member=0),
        }
    rows = []
    for name, depth in SHOWN:
        level = nearest_level(model.grid, depth)
        attrs = truth[name].attrs
        shown = {k: values(s, name, model.grid, attrs["mask"])[..., level, :, :] for k, s in panels.items()}
        title = f"{attrs['long_name']}, {model.grid['gdept'][level]:.0f} m"
        rows.append(Row(title, unit_label(attrs["units"]), attrs["standard_name"], shown))
    draw_rows(rows, map_frame(model.grid, 3.0)).savefig(args.out, dpi=110, bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    main()
