"""The latent store with holes: its reader refuses it, encoding again fills what is missing and nothing else."""

import shutil
from pathlib import Path

import pytest

from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.latents import open_latents, write_latents
from ldm_ocean.errors import UserError

from ..conftest import small_states

pytestmark = pytest.mark.reliability("R18")


def contents(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


def written(store: Path) -> dict[str, int]:
    return {str(p.relative_to(store)): p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()}


def shards(store: Path) -> list[Path]:
    return sorted(p for p in (store / "latent" / "c").rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def codec(road):
    return artefacts.load_codec(road["vae"])


@pytest.fixture
def store(road, tmp_path) -> Path:
    return Path(shutil.copytree(road["latents.zarr"], tmp_path / "latents.zarr", copy_function=shutil.copy2))


def delete_a_shard(store):
    shards(store)[2].unlink()


def blank_a_chunk(store):
    content = bytearray(shards(store)[2].read_bytes())
    content[:200] = bytes(200)
    shards(store)[2].write_bytes(content)


def flip_a_bit(store):
    content = bytearray(shards(store)[2].read_bytes())
    content[150] ^= 1
    shards(store)[2].write_bytes(content)


def cut_off_a_shard(store):
    shards(store)[2].write_bytes(shards(store)[2].read_bytes()[:300])


@pytest.mark.parametrize("damage", [delete_a_shard, blank_a_chunk, flip_a_bit, cut_off_a_shard])
def test_a_damaged_store_is_refused_and_mended_where_it_is_damaged_only(damage, store, codec, road):
    whole, name = contents(store), str(shards(store)[2].relative_to(store))
    damage(store)
    with pytest.raises(UserError, match="run `ldm-ocean encode` again"):
        open_latents(store, codec)
    before = written(store)
    write_latents(store, codec, open_states(road["states.zarr"]))
    assert contents(store) == whole
    now = written(store)
    assert {k for k in now if now[k] != before.get(k)} - {name} <= {str(Path("source/c") / name.split("/")[2])}
    assert [p.name for p in store.parent.iterdir()] == ["latents.zarr"]


def test_a_whole_store_is_left_as_it_is(store, codec, road, monkeypatch):
    before = written(store)
    monkeypatch.setattr(codec, "encode", lambda *_: pytest.fail("encodes again"))
    write_latents(store, codec, open_states(road["states.zarr"]))
    assert written(store) == before


def test_an_encoder_that_was_killed_is_gone_on_with(codec, road, tmp_path, monkeypatch):
    states, encode, calls = open_states(road["states.zarr"]), codec.encode, []

    class Killed(BaseException):
        pass

    def encode_twice(x):
        calls.append(len(x))
        if len(calls) == 3:
            raise Killed
        return encode(x)

    monkeypatch.setattr(codec, "encode", encode_twice)
    with pytest.raises(Killed):
        write_latents(tmp_path / "l.zarr", codec, states)
    assert not (tmp_path / "l.zarr").exists()
    write_latents(tmp_path / "l.zarr", codec, states)
    assert sum(calls) == states.sizes["sample"] + calls[2]  # the shard it was killed in, and no other, came twice
    assert contents(tmp_path / "l.zarr") == contents(road["latents.zarr"])
    assert [p.name for p in tmp_path.iterdir()] == ["l.zarr"]


def test_states_that_changed_under_the_same_labels_are_encoded_anew(store, codec, road):
    changed = small_states()
    changed["toce"] = (changed.toce + 0.5 * (changed.setting == "s01")).assign_attrs(changed.toce.attrs)
    before = written(store)
    order = [f.name for f in codec.fields]
    write_latents(store, codec, changed[order + [k for k in changed.data_vars if k not in order]])
    now = written(store)
    assert [Path(k).parts[:3] for k in now if now[k] != before[k]] and len(shards(store)) == 6
    assert sum(now[k] != before[k] for k in now if k.startswith("latent/c")) == 1
    open_latents(store, codec)


def test_a_store_of_another_codec_gives_way_only_when_the_new_one_is_whole(
    store, codec, autoencoder, road, monkeypatch
):
    before = contents(store)
    monkeypatch.setattr(autoencoder, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_latents(store, autoencoder, open_states(road["states.zarr"]))
    assert contents(store) == before
    monkeypatch.undo()
    write_latents(store, autoencoder, open_states(road["states.zarr"]))
    open_latents(store, autoencoder)
    with pytest.raises(UserError, match=codec.digest[:12]):
        open_latents(store, codec)
