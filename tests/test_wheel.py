"""What `pip wheel .` makes is all that a user needs: it is unpacked outside of the checkout and used there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ["data.validation=[centre]", "train.samples=8", "train.global_batch_size=8", "train.device=cpu"]
LAUNCH = ["accelerate.commands.launch", "--cpu", "--num_processes=1", "--num_machines=1"]
LAUNCH += ["--mixed_precision=no", "--dynamo_backend=no"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built with what is installed: no network is asked."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    done = subprocess.run([sys.executable, "-m", *command, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


@pytest.fixture
def python(installed, tmp_path):
    """Runs a Python that has the wheel and an empty folder, and no checkout; gives what it printed."""

    def run(*arguments: str, patience: float = 300) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "LDM_OCEAN_MODELS"}
        before = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)]
        environment["PYTHONPATH"] = os.pathsep.join([str(installed), *before])
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=patience)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def test_the_wheel_holds_every_configuration_the_weights_and_one_ocean(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name.removeprefix("ldm_ocean/assets/") for name in names if name.startswith("ldm_ocean/assets/")}
    wanted = {str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.yaml")}
    wanted |= {f"pretrained/dino-coarse/{part}" for part in ("codec.safetensors", "generator.safetensors")}
    assert wanted | {"data/dino-coarse/manifest.json", "data/dino-coarse/mesh.nc"} <= inside
    assert {name.split("/")[1] for name in inside if name.startswith("data/")} == {
        "dino-coarse",
        "dino-coarse-latents.zarr",
    }
    assert {"ldm_ocean/py.typed", "ldm_ocean/io/names.yaml"} <= names
    assert not [name for name in names if not name.startswith("ldm_ocean")]
    assert wheel.stat().st_size < 80e6


def test_a_model_is_loaded_by_name_without_a_checkout(python, installed):
    code = "import ldm_ocean; print(ldm_ocean.__file__); ldm_ocean.OceanLDM.from_pretrained('dino-coarse', 'cpu')"
    assert Path(python("-c", code).strip()) == installed / "ldm_ocean" / "__init__.py"


def test_stage_one_trains_on_the_ocean_of_the_wheel(python, tmp_path):
    few = ["data.train=[edge]", *TINY]
    python("-m", "ldm_ocean", "train-vae", "experiment=demo", *few)
    assert (tmp_path / "runs" / "demo" / "vae" / "best" / "codec.json").exists()


def test_a_launcher_trains_stage_two_from_the_published_autoencoder(python, tmp_path):
    few = ["codec=dino-coarse", "run=mine", *TINY]
    python("-m", *LAUNCH, "-m", "ldm_ocean", "train-diffusion", "experiment=demo", *few)
    drawn = ["mine", "rn_ztau0=0.2", "rn_tstar_n=5", "rn_avt0=3e-5", "--members", "1", "--out", "s.nc"]
    python("-m", "ldm_ocean", "sample", *drawn, "--device", "cpu")
    assert (tmp_path / "s.nc").exists()


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(python, tmp_path):
    python("-m", "ldm_ocean", "demo", "--pretrained", "--members", "2", patience=3000)
    assert (tmp_path / "runs" / "demo" / "report.html").stat().st_size > 1e5


def test_an_editable_install_is_a_path_and_so_is_found_beside_a_clone_of_its_own_name(tmp_path):
    """The folder above a clone called ldm_ocean has a folder of that name, which is not the package."""
    hooks = pytest.importorskip("hatchling.build")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        file = hooks.build_editable(str(tmp_path))
    with zipfile.ZipFile(tmp_path / file) as editable:
        editable.extractall(tmp_path / "site")
    (tmp_path / "above" / "ldm_ocean").mkdir(parents=True)
    code = f"import site; site.addsitedir({str(tmp_path / 'site')!r}); import ldm_ocean; print(ldm_ocean.__file__)"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", code]  # -S: whatever is installed here does not help
    done = subprocess.run(command, cwd=tmp_path / "above", env=clean, capture_output=True, text=True)
    assert done.stdout.strip() == str(ROOT / "ldm_ocean" / "__init__.py"), done.stderr
